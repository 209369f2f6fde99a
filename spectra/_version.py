"""The one place that holds the version of the distribution ``hessian-spectra``.

A build at a tag writes the tag's number here instead (``setup.py``). In a clone it is the release
that the tree goes towards; results record it, so it names neither a commit nor a date.
"""

__version__ = "0.1.0"
