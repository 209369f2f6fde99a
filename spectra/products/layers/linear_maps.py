"""Parameter-free layers that are linear, or linear near almost every point."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectra.products.layers.interface import Layer, Saved
from spectra.products.tangent.folding import Direction, Moved


class LinearMap(Layer):
    """A parameter-free operation that is linear in its one tensor: its tangent is itself.

    Args:
        function: of the one tensor.
    """

    keeps = frozenset({"inputs"})

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def value(self, *inputs: Tensor) -> Tensor:
        """Return f(x)."""
        return self.function(inputs[0])

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return fᵀ δ."""
        return [self._transposed(saved, saved.delta, 1)]

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return f dx."""
        (dx,) = saved.input_tangents
        return None if dx is None else self._moved(saved, dx)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return fᵀ dδ."""
        return [self._transposed(saved, d_delta, direction.count)]

    def _moved(self, saved: Saved, dx: Tensor) -> Tensor:
        return self.function(dx)

    def _transposed(self, saved: Saved, cotangent: Tensor | None, count: int) -> Tensor | None:
        """Return fᵀ of ``count`` cotangents, (count n, ...)."""
        if cotangent is None:
            return None
        x = saved.inputs[0] if count == 1 else torch.cat([saved.inputs[0]] * count)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (pulled,) = torch.autograd.grad(self.function(x), x, cotangent)
        return pulled


class MaxPool(LinearMap):
    """Max pooling: near a point without ties it picks fixed entries of each channel."""

    def __init__(self, module: nn.MaxPool1d | nn.MaxPool2d) -> None:
        super().__init__(module)
        self.options = (module.stride, module.padding, module.dilation, module.ceil_mode)
        self.kernel = module.kernel_size
        self.pool = F.max_pool2d if isinstance(module, nn.MaxPool2d) else F.max_pool1d

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return fᵀ δ; keep which entries were picked."""
        x = saved.inputs[0]
        _, saved.extra["picked"] = self.pool(x, self.kernel, *self.options, return_indices=True)
        return super().pull(saved, wanted)

    def _moved(self, saved: Saved, dx: Tensor) -> Tensor:
        picked, spatial = saved.extra["picked"], dx.ndim - 2
        if len(dx) != len(picked):
            picked = torch.cat([picked] * (len(dx) // len(picked)))
        flat = picked.reshape(*picked.shape[:2], -1)
        return dx.reshape(*dx.shape[:2], -1).gather(2, flat).view(*picked.shape[: 2 + spatial])
