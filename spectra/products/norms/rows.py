"""How a normalisation takes its entries together: the rows over which it has a mean and a length.

For a row x, with p = 1/m or 1 and q = 1/m or 0 for its m entries, y = x - q Σx and
r = (p Σy² + ε)^-½, the normalised row is x̂ = r y. Its derivative is dx̂ = r Π dx with the symmetric
matrix Π = I - q 1 1ᵀ - p x̂ x̂ᵀ.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

_layer_norm_backward = torch.ops.aten.native_layer_norm_backward

# What is the same for every direction, by name. "values" are x̂, "rate" r, "weight" p: r and p
# broadcast over x. Rows keep there what else they read.
Kept = Mapping[str, Tensor]


class Rows(ABC):
    """Which entries make a row."""

    @abstractmethod
    def normalised(self, x: Tensor) -> dict[str, Tensor]:
        """Return x̂ and what goes with it, see :data:`Kept`."""

    @abstractmethod
    def sum(self, x: Tensor, ndim: int) -> Tensor:
        """Return Σ over each row of values of ``ndim`` axes, or of K tangents of them."""

    @abstractmethod
    def projected(self, moved: Tensor, kept: Kept, count: int) -> Tensor:
        """Return r Π moved, for (n, ...) or for each of ``count`` directions, (K, n, ...)."""


class LastAxes(Rows):
    """The last axes together, centred, as a layer norm has it.

    Args:
        shape: of those axes.
        eps: added to the variance.
    """

    def __init__(self, shape: tuple[int, ...], eps: float) -> None:
        self.shape, self.eps = list(shape), eps
        self.axes = tuple(range(-len(shape), 0))
        self.share = 1 / torch.Size(shape).numel()

    def normalised(self, x: Tensor) -> dict[str, Tensor]:
        """Return x̂ and what the kernel reads."""
        x = x.contiguous()
        values, mean, rate = torch.native_layer_norm(x, self.shape, None, None, self.eps)
        weight = rate.new_tensor(self.share)
        return {"x": x, "values": values, "mean": mean, "rate": rate, "weight": weight}

    def sum(self, x: Tensor, ndim: int) -> Tensor:
        """Return the sum over the last axes."""
        return x.sum(self.axes, keepdim=True)

    def projected(self, moved: Tensor, kept: Kept, count: int) -> Tensor:
        """Return r Π moved by the kernel of a layer norm's backward pass."""
        x, mean, rate = (_each(kept[name], count) for name in ("x", "mean", "rate"))
        found: Tensor = _layer_norm_backward(
            moved.contiguous(), x, self.shape, mean, rate, None, None, [True, False, False]
        )[0]
        return found


class Lengths(Rows):
    """Some axes together, not centred: their root mean square or their length is divided out.

    Args:
        axes: of x.
        eps: added to the mean square, by default the rounding of x; of a length, the least that is
            divided by.
        mean: divide by the root mean square rather than by the length.
    """

    def __init__(self, axes: tuple[int, ...], eps: float | None, *, mean: bool) -> None:
        self.axes, self.eps, self.mean = axes, eps, mean

    def normalised(self, x: Tensor) -> dict[str, Tensor]:
        """Return x̂ and what goes with it; p = 0 where a length is below ε."""
        squares = self.sum(x * x, x.ndim)
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        if self.mean:
            share = squares.numel() / max(x.numel(), 1)
            rate, weight = (squares * share + eps).rsqrt(), x.new_tensor(share)
        else:
            lengths = squares.sqrt()
            rate = lengths.clamp_min(eps).reciprocal()
            weight = (lengths >= eps).to(x.dtype)
        return {"values": x * rate, "rate": rate, "weight": weight}

    def sum(self, x: Tensor, ndim: int) -> Tensor:
        """Return the sum over the axes, counted from the last."""
        return x.sum([a - ndim if a >= 0 else a for a in self.axes], keepdim=True)

    def projected(self, moved: Tensor, kept: Kept, count: int) -> Tensor:
        """Return r (moved - p x̂ Σ x̂ moved)."""
        along = self.sum(kept["values"] * moved, kept["values"].ndim).mul_(kept["weight"])
        return torch.addcmul(moved, kept["values"], along, value=-1).mul_(kept["rate"])


def _each(values: Tensor, count: int) -> Tensor:
    """Return values (n, ...) once for each of several directions, (K, n, ...)."""
    return values if count == 1 else values.expand(count, *values.shape).contiguous()
