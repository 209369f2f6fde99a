"""Spectra of classes while Lightning trains: a callback over :class:`spectra.ClassSpectra`.

Needs Lightning, under either of its names: ``pip install hessian-spectra[lightning]``.
"""

from typing import TYPE_CHECKING, Any

from spectra.classes.over_training import ClassSpectra

if TYPE_CHECKING:
    Callback = object
else:
    try:
        from lightning.pytorch import Callback
    except ImportError:
        try:
            from pytorch_lightning import Callback
        except ImportError as error:
            needed = "the callback needs Lightning: pip install hessian-spectra[lightning]"
            raise ImportError(needed) from error


class LightningCallback(Callback):
    """Records after the epochs that are due: ``callbacks=[LightningCallback(recorder)]``.

    The first process records; others wait for it at their next exchange.

    Args:
        recorder: what records; its ``analyses`` are what was found.
    """

    def __init__(self, recorder: ClassSpectra) -> None:
        super().__init__()
        self.recorder = recorder

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Record the module if ``recorder`` is due."""
        if trainer.is_global_zero:
            self.recorder.record(pl_module, trainer.current_epoch + 1)
