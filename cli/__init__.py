"""The command line."""

from spectra._moved import accept_old_modules

accept_old_modules()  # cli.workflows, which is in checkpoints now
