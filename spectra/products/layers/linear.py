"""Linear maps whose weight is a value: ``F.linear`` of parameters or of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from spectra.products.layers.directions import apart, below
from spectra.products.layers.interface import Layer, Saved, total
from spectra.products.tangent.folding import Direction, Moved


class Linear(Layer):
    """y = x Wᵀ + b; of the values x, W and, where there is one, b."""

    keeps_the_same = True

    def value(self, *inputs: Tensor) -> Tensor:
        """Return x Wᵀ + b."""
        return F.linear(*inputs)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return δ W, δᵀ x and Σ δ; keep x, W and δ as rows."""
        x, weight, *_ = saved.inputs
        kept = saved.extra
        kept["x"], kept["weight"], kept["delta"] = _rows(x), weight, _rows(saved.cotangent)
        found = [
            (kept["delta"] @ weight).view_as(x) if wanted[0] else None,
            kept["delta"].T @ kept["x"] if wanted[1] else None,
        ]
        return found + [kept["delta"].sum(0) if want else None for want in wanted[2:]]

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return dx Wᵀ + x dWᵀ + db."""
        x, weight, _ = (saved.extra[name] for name in ("x", "weight", "delta"))
        dx, d_weight, *d_bias = saved.input_tangents
        count = direction.count
        shape = (-1, *saved.shapes[0][1:-1], len(weight))
        own = None if d_weight is None else apart(d_weight, count, weight)
        bias = None if not d_bias or d_bias[0] is None else d_bias[0]
        if bias is not None and count > 1:
            bias = bias.reshape(count, 1, -1)
        found = None
        if dx is not None:
            found = F.linear(_rows(dx), weight, bias if count == 1 else None)
            if count > 1:
                found = found.unflatten(0, (count, -1))
                found = found if bias is None else found.add_(bias)
        elif bias is not None:
            found = bias.expand(*[count] * (count > 1), len(x), len(weight))
        if own is not None and count == 1:
            found = F.linear(x, own, bias) if dx is None else self._plus(found, x, own.T)
        elif own is not None:
            found = total(found, x @ own.mT)
        return None if found is None else found.reshape(shape)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dδ W + δ dW, dδᵀ x + δᵀ dx and Σ dδ."""
        x, weight, delta = (saved.extra[name] for name in ("x", "weight", "delta"))
        dx, d_weight, *_ = saved.input_tangents
        count = direction.count
        dx = None if dx is None else apart(_rows(dx), count, x)
        d_weight = apart(d_weight, count, weight)
        d_delta = None if d_delta is None else apart(_rows(d_delta), count, delta)
        of_x = of_weight = of_bias = None
        if d_delta is not None:
            of_x = d_delta @ weight if wanted[0] else None
            of_weight = d_delta.mT @ x if wanted[1] else None
            of_bias = below(d_delta.sum(-2), count) if wanted[-1] else None
        if d_weight is not None and wanted[0]:
            of_x = self._plus(of_x, delta, d_weight)
        if dx is not None and wanted[1]:
            of_weight = self._plus(of_weight, delta.T, dx)
        if of_x is not None:
            of_x = of_x.reshape(-1, *saved.shapes[0][1:])
        return [of_x, below(of_weight, count), of_bias][: len(wanted)]

    def _plus(self, before: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
        """Return before + left right; the right one may be of several directions."""
        if before is None:
            return left @ right
        if right.ndim == 2 and self.adds_in_place:
            return before.addmm_(left, right)
        return before + left @ right


def _rows(values: Tensor) -> Tensor:
    return values.reshape(-1, values.shape[-1])
