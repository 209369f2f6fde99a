"""A loss that is a module, in the precision of the outputs."""

import copy
import logging

import torch
from torch import Tensor, nn

from spectra.objective.plain_model import in_precision

logger = logging.getLogger(__name__)


class LossModule:
    """A loss that is a module, such as one with class weights, wherever its tensors were.

    The same loss serves float32 products and float64 checks: it is copied for both, here and not
    when it is called, which may be within a function transform of torch.

    Args:
        module: maps outputs (n, C) and labels (n,) to the loss of each image, (n,).
        device: of the outputs.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        trained = [name for name, p in module.named_parameters() if p.requires_grad]
        if trained:
            logger.warning(
                "the loss has parameters, %s: they stay as they are, and the Hessian is by those "
                "of the network alone",
                ", ".join(trained),
            )
        self._single, self._double = (
            in_precision(copy.deepcopy(module).requires_grad_(False), dtype, device)
            for dtype in (torch.float32, torch.float64)
        )

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, shape (n,)."""
        module = self._double if outputs.dtype == torch.float64 else self._single
        losses: Tensor = module(outputs, labels)
        return losses
