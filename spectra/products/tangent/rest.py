"""What comes after the steps of a trace: the rest of the network, and the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spectra.objective.network.own_calls import called_as_own
from spectra.system.allocator import out_of_memory

# Ours: for so many outputs at most the loss's second derivatives are written out: 1,024 numbers an
# image, fewer than an activation of a CIFAR network has. They cost as many passes through the loss
# as there are outputs, batched in one.
MOST_OUTPUTS = 32


class Rest:
    """The loss of one chunk as a function of its features and of the rest's parameters.

    Where the rest has no parameters and few outputs, its second derivatives are written out for
    each image, C² numbers; else it goes through a kept graph of double backward.

    Args:
        features: of the network, values.
        network: maps features to outputs.
        leaves: its trained parameters.
        loss: returns the chunk's loss, from outputs.

    Attributes:
        slope: the cotangent of the features.
        bends: w_i ∇²ℓ_i by the features, (n, C, C), where they are written out.
    """

    def __init__(
        self,
        features: Tensor,
        network: Callable[[Tensor], Tensor],
        leaves: Sequence[Tensor],
        loss: Callable[[Tensor], Tensor],
    ) -> None:
        self.network, self.leaves = network, list(leaves)
        with torch.enable_grad():
            # In the order that the network itself would see: a view may depend on it.
            self.features = features.detach().contiguous().requires_grad_()
            outputs = called_as_own(network, self.features)
            self._gradients = torch.autograd.grad(
                loss(outputs),
                [self.features, *self.leaves],
                create_graph=True,
                materialize_grads=True,
            )
        self.slope = self._gradients[0].detach()
        self.bends = self._bends()
        if self.bends is not None:  # of the graph nothing more is asked
            self._gradients = (self.slope,)

    @torch.enable_grad()
    def _bends(self) -> Tensor | None:
        """Return w_i ∇²ℓ_i by the features, (n, C, C), where they are the few outputs; else None.

        A product with them is one operation, where a pass through the graph takes some thirty. It
        is from them whether work is kept or not, for its bytes are not to depend on memory.
        """
        slope = self._gradients[0]
        if self.leaves or slope.ndim != 2 or slope.shape[1] > MOST_OUTPUTS:
            return None
        if not slope.requires_grad:
            return slope.new_zeros((*slope.shape, slope.shape[1]))
        n, count = slope.shape
        # An image's slope depends on its own features alone: images need not be told apart.
        rows = torch.eye(count, dtype=slope.dtype, device=slope.device)
        try:
            (found,) = torch.autograd.grad(
                slope,
                self.features,
                rows[:, None].expand(count, n, count),
                is_grads_batched=True,
                materialize_grads=True,
            )
        except RuntimeError as error:  # a stranger's loss that cannot be batched
            if out_of_memory(error):
                raise
            return None
        return found.transpose(0, 1)

    def products(
        self, tangent: Tensor | None, along: Sequence[Tensor], count: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the tangents of the features' cotangent and of the parameters' gradients.

        Args:
            tangent: of the features, (K n, ...).
            along: tangents of the parameters, flat, (P_i,), or (K, P_i) of several directions.
            count: K.
        """
        n = len(self.features)
        if self.bends is not None:
            if tangent is None:
                return torch.zeros_like(self.features).repeat(count, 1), []
            stacked = tangent.reshape(count, n, -1)
            return torch.einsum("ncd,knd->knc", self.bends, stacked).flatten(0, 1), []
        if count == 1:
            moved, *of_leaves = self._product(tangent, along)
            return moved, of_leaves
        each = [
            self._product(
                None if tangent is None else tangent[k * n : (k + 1) * n], [a[k] for a in along]
            )
            for k in range(count)
        ]
        moved, *of_leaves = (torch.stack(parts) for parts in zip(*each, strict=True))
        return moved.flatten(0, 1), of_leaves

    def _product(self, tangent: Tensor | None, along: Sequence[Tensor]) -> list[Tensor]:
        """Return tangents of the cotangent of the features, and of the gradients, flat."""
        leaves = [self.features, *self.leaves]
        moves = [tangent, *(v.view_as(p) for v, p in zip(along, self.leaves, strict=True))]
        pairs = [
            (g, d)
            for g, d in zip(self._gradients, moves, strict=True)
            if d is not None and g.requires_grad
        ]
        if not pairs:
            moved = tuple(torch.zeros_like(leaf) for leaf in leaves)
        else:
            moved = torch.autograd.grad(
                [g for g, _ in pairs],
                leaves,
                [d for _, d in pairs],
                retain_graph=True,
                materialize_grads=True,
            )
        return [moved[0], *(m.reshape(-1) for m in moved[1:])]
