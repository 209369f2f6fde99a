"""Per-sample losses: the interface, and cross-entropy."""

import copy
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectra.errors import InputError
from spectra.objective.plain_model import in_precision
from spectra.system.allocator import out_of_memory

# Above it softplus(x) is x to the last bit of float64.
_SOFTPLUS_IS_LINEAR = 50.0


class PerSampleLoss(Protocol):
    """Anything that maps outputs (n, C) and labels (n,) to the loss of each image (n,)."""

    def __call__(self, outputs: Tensor, labels: Tensor, /) -> Tensor:
        """Return the loss of each image, shape (n,); image i may depend on row i alone."""
        ...


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return -log p_y of each image, shape (n,), with derivatives as exact as itself.

    As log(1 + Σ_{c≠y} exp(z_c - z_y)): the usual form has derivatives by p_y - 1, of which nothing
    is left in float32 where 1 - p_y nears 1e-7, as it does for classes fitted well.

    Args:
        logits: z, shape (n, C).
        labels: y, int64 (n,).
    """
    own = torch.arange(logits.shape[1], device=labels.device) == labels[:, None]
    ahead = logits - logits.gather(1, labels[:, None])
    others = ahead.masked_fill(own, torch.finfo(logits.dtype).min).logsumexp(1)
    return F.softplus(others, threshold=_SOFTPLUS_IS_LINEAR)


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of ``scale`` · outputs.

    Attributes:
        scale: 1 for a linear head; s for a cosine head, whose outputs are cos θ.

    Example:
        >>> import torch, spectra
        >>> spectra.CrossEntropy()(torch.zeros(1, 10), torch.tensor([3]))  # log 10
        tensor([2.3026])
    """

    scale: float = 1.0

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, shape (n,)."""
        return cross_entropy(self.scale * outputs, labels)


class LossModule:
    """A loss that is a module, such as one with class weights, wherever its tensors were.

    The same loss serves float32 products and float64 checks: it is copied for both, here and not
    when it is called, which may be within a function transform of torch.

    Args:
        module: maps outputs (n, C) and labels (n,) to the loss of each image, (n,).
        device: of the outputs.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._single, self._double = (
            in_precision(copy.deepcopy(module).requires_grad_(False), dtype, device)
            for dtype in (torch.float32, torch.float64)
        )

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, shape (n,)."""
        module = self._double if outputs.dtype == torch.float64 else self._single
        losses: Tensor = module(outputs, labels)
        return losses


def loss_on(device: torch.device, loss: PerSampleLoss | None) -> PerSampleLoss:
    """Return ``loss`` for outputs on ``device``; cross-entropy where None.

    Raises:
        InputError: it is no function.
    """
    if loss is None:
        return CrossEntropy()
    if not callable(loss):
        raise InputError(f"loss must be a function of outputs and labels, got {loss!r}")
    return LossModule(loss, device) if isinstance(loss, nn.Module) else loss


def checked_losses(loss: PerSampleLoss, outputs: Tensor, labels: Tensor, /) -> Tensor:
    """Return ℓ_i, unweighted, checked to be one value an image.

    Raises:
        InputError: the outputs are no tensor, the labels do not fit them, or the losses are not one
            an image.
    """
    if not isinstance(outputs, Tensor):
        raise InputError(
            f"the model must return its outputs (n, C) as a tensor, got {type(outputs).__name__}; "
            "give forward=, such as lambda model, images: model(images).logits, or [0]"
        )
    try:
        losses = loss(outputs, labels)
    except (IndexError, RuntimeError) as error:
        _check_fit(outputs, labels, error)
        raise
    if losses.shape != labels.shape:
        raise InputError(
            f"loss must return one value an image, shape {tuple(labels.shape)}, "
            f"got {tuple(losses.shape)}; use reduction='none'"
        )
    return losses


def _check_fit(outputs: Tensor, labels: Tensor, error: Exception) -> None:
    """Raise InputError if shapes or labels explain why a loss failed."""
    if out_of_memory(error):
        return
    if outputs.ndim != 2 or len(outputs) != len(labels):
        raise InputError(
            f"the loss cannot take outputs of shape {tuple(outputs.shape)}; {len(labels)} images "
            f"should give ({len(labels)}, C), which forward= can see to: {_first_line(error)}"
        ) from error
    if int(labels.max()) >= outputs.shape[1]:
        raise InputError(
            f"the loss cannot take labels up to {int(labels.max())}, the model has "
            f"{outputs.shape[1]} outputs: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
