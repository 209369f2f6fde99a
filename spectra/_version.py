"""The one place that holds the version of the distribution ``hessian-spectra``."""

__version__ = "0.1.0"
