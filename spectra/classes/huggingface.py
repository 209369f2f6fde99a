"""Spectra of classes while a HuggingFace ``Trainer`` trains: a callback over ``ClassSpectra``.

Needs transformers: ``pip install hessian-spectra[huggingface]``.
"""

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from spectra.classes.over_training import ClassSpectra

if TYPE_CHECKING:
    TrainerCallback = object
else:
    try:
        from transformers import TrainerCallback
    except ImportError as error:
        needed = "the callback needs transformers: pip install hessian-spectra[huggingface]"
        raise ImportError(needed) from error


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the outputs of an image classifier: ``ClassSpectra(..., forward=logits)``.

    Not needed for data whose items are dictionaries, such as those that the ``Trainer`` is given.
    """
    found: Tensor = model(pixel_values=images).logits
    return found


class HuggingFaceCallback(TrainerCallback):
    """Records after the epochs that are due: ``callbacks=[HuggingFaceCallback(recorder)]``.

    The first process records; others wait for it at their next exchange.

    Args:
        recorder: what records, such as ``ClassSpectra(dataset, every=1)`` over a data set of the
            dictionaries that the model takes, with ``labels``; its ``analyses`` are what was found.
    """

    def __init__(self, recorder: ClassSpectra) -> None:
        self.recorder = recorder

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Record ``kwargs["model"]`` if ``recorder`` is due."""
        if state.is_world_process_zero:
            self.recorder.record(kwargs["model"], round(state.epoch))
