"""The command line."""

import contextlib
import os
import sys

# ``python -m`` lets modules of the current folder stand in for installed ones: beside a stranger's
# checkpoint there may lie a torch.py. The folder stays where it is our own.
if sys.argv[:1] == ["-m"]:
    with contextlib.suppress(OSError):
        if os.path.samefile(sys.path[0] or ".", ".") and not os.path.samefile(
            ".", os.path.dirname(os.path.dirname(__file__))
        ):
            del sys.path[0]

from spectra._moved import accept_old_modules  # not from the current folder

accept_old_modules()  # cli.workflows, which is in checkpoints now
