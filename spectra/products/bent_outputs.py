"""Jᵀ (∂²ℓ/∂outputs²) J between some leaves and the outputs that torch's graph makes of them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spectra.objective.kept_tensors import counted


class BentOutputs:
    """Outputs of some leaves, with the graphs of Jᵀ u and of the slope of the loss.

    J v is the derivative of Jᵀ u by u along v, which is linear in u: reverse mode alone, so that no
    operation needs a forward mode.

    Args:
        outputs: returns them, (n, ...), from the leaves.
        leaves: tensors that require gradients.
        loss: returns the loss of the outputs, of all images together.

    Attributes:
        nbytes: that the graphs hold.

    Source: Schraudolph 2002; the derivative by u: Townsend 2017.
    """

    @torch.enable_grad()
    def __init__(
        self,
        outputs: Callable[[], Tensor],
        leaves: Sequence[Tensor],
        loss: Callable[[Tensor], Tensor],
    ) -> None:
        def pulled() -> list[Tensor | None]:
            self.outputs = outputs()
            self.point = self.outputs.detach().requires_grad_()
            self.slope = _gradients(loss(self.point), [self.point])[0]
            self.dual = torch.zeros_like(self.point, requires_grad=True)
            return _gradients(self.outputs, leaves, self.dual)

        found = counted(pulled)
        self.nbytes = found.nbytes
        # By leaf; what the outputs do not depend on has none.
        self.pulled = {i: p for i, p in enumerate(found.made) if p is not None and p.requires_grad}
        self.leaves = list(leaves)

    @torch.enable_grad()
    def product(self, tangents: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return Jᵀ (∂²ℓ/∂outputs²) J of the leaves' tangents, one a leaf; None stands for 0."""
        found: list[Tensor | None] = [None] * len(self.leaves)
        pairs = [(p, t) for i, p in self.pulled.items() if (t := tangents[i]) is not None]
        if not pairs or self.slope is None or not self.slope.requires_grad:
            return found
        (along,) = torch.autograd.grad(
            [p for p, _ in pairs],
            self.dual,
            [t for _, t in pairs],
            retain_graph=True,
            materialize_grads=True,
        )
        (bent,) = torch.autograd.grad(
            self.slope, self.point, along, retain_graph=True, materialize_grads=True
        )
        back = torch.autograd.grad(
            self.outputs,
            [self.leaves[i] for i in self.pulled],
            bent,
            retain_graph=True,
            materialize_grads=True,
        )
        for i, cotangent in zip(self.pulled, back, strict=True):
            found[i] = cotangent
        return found


def _gradients(
    value: Tensor, leaves: Sequence[Tensor], cotangent: Tensor | None = None
) -> list[Tensor | None]:
    """Return the gradients of ``value`` with their graph; None where it does not depend on one."""
    if not value.requires_grad:
        return [None] * len(leaves)
    return list(
        torch.autograd.grad(value, list(leaves), cotangent, create_graph=True, allow_unused=True)
    )
