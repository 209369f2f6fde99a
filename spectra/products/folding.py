"""Weights and biases of affine layers, with the batch norm after them folded in.

In eval mode a batch norm is y = s (z - μ) + β with s = γ / √(σ² + ε), so that it makes one affine
layer with the layer before it: W' = s W and b' = β + s (c - μ), c the bias before it. W' and b' are
bilinear in (γ, β) and (W, c), and what is here are their tangent and its transpose.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spectra.products.layers import Directions, packed, total

AffineModule = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


class Plain:
    """W' = W and b' = c: no norm.

    Args:
        names: of ``weight``, ``bias``, ``gamma``, ``beta``: the parameters that are trained.
        module: the convolution or linear layer.

    Attributes:
        weight: W', its 2-d convolutions in channels-last order.
        bias: b', or None.
        needs_gradients: whether :meth:`unfold` reads the gradients of W' and b'.
    """

    needs_gradients = False

    def __init__(self, names: dict[str, str], module: AffineModule) -> None:
        self.names = names
        self.weight = packed(module.weight.detach())
        self.bias: Tensor | None = None if module.bias is None else module.bias.detach()

    def fold(self, directions: Directions) -> tuple[Tensor | None, Tensor | None]:
        """Return the tangents of W' and b' along ``directions``."""
        d_weight = self._along(directions, "weight")
        return None if d_weight is None else packed(d_weight), self._along(directions, "bias")

    def unfold(
        self,
        moved: tuple[Tensor | None, Tensor | None],
        known: tuple[Tensor, Tensor] | None,
        directions: Directions,
        gradients: Directions,
    ) -> None:
        """Add the tangents of the parameters' gradients.

        Args:
            moved: tangents of the gradients of W' and b'.
            known: the gradients of W' and b'.
            directions: of the product.
            gradients: what to add to, by name.
        """
        self._add(gradients, "weight", moved[0])
        self._add(gradients, "bias", moved[1])

    def _along(self, directions: Directions, kind: str) -> Tensor | None:
        return directions.get(self.names.get(kind, ""))

    def _add(self, gradients: Directions, kind: str, value: Tensor | None) -> None:
        name = self.names.get(kind)
        if name is None or value is None:
            return
        gradients[name] = gradients[name] + value if name in gradients else value


class Folded(Plain):
    """W' = s W and b' = β + s (c - μ).

    Args:
        names: see :class:`Plain`.
        module: the convolution or linear layer.
        norm: the batch norm, with running averages.
    """

    needs_gradients = True

    def __init__(self, names: dict[str, str], module: AffineModule, norm: Norm) -> None:
        super().__init__(names, module)
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        self.unscaled = module.weight.detach()
        self.shape = (-1, *[1] * (self.unscaled.ndim - 1))
        self.inverse = (variance + norm.eps).rsqrt()
        # torch types an optional parameter as if it were always there
        affine = norm.affine
        gamma = norm.weight.detach() if affine else torch.ones_like(self.inverse)
        beta = norm.bias.detach() if affine else torch.zeros_like(self.inverse)
        self.scale = gamma * self.inverse
        self.shift = -mean if self.bias is None else self.bias - mean
        self.weight = packed(self.unscaled * self.scale.view(self.shape))
        self.bias = beta + self.scale * self.shift

    def fold(self, directions: Directions) -> tuple[Tensor | None, Tensor | None]:
        """Return dW' = ds W + s dW and db' = dβ + ds (c - μ) + s dc."""
        d_weight, d_bias = self._along(directions, "weight"), self._along(directions, "bias")
        d_scale = self._d_scale(directions)
        folded = total(
            None if d_weight is None else d_weight * self.scale.view(self.shape),
            None if d_scale is None else self.unscaled * d_scale.view(self.shape),
        )
        offset = total(
            self._along(directions, "beta"),
            None if d_scale is None else d_scale * self.shift,
            None if d_bias is None else d_bias * self.scale,
        )
        return None if folded is None else packed(folded), offset

    def unfold(
        self,
        moved: tuple[Tensor | None, Tensor | None],
        known: tuple[Tensor, Tensor] | None,
        directions: Directions,
        gradients: Directions,
    ) -> None:
        """Add the tangents of the gradients of W, c, γ and β, by the product rule."""
        assert known is not None
        (d_weight, d_bias), (g_weight, g_bias) = moved, known
        d_scale = self._d_scale(directions)
        if "weight" in self.names:
            value = total(
                None if d_weight is None else d_weight * self.scale.view(self.shape),
                None if d_scale is None else g_weight * d_scale.view(self.shape),
            )
            self._add(gradients, "weight", value)
        if "gamma" in self.names:
            along, along_bias = self._along(directions, "weight"), self._along(directions, "bias")
            value = total(
                None if d_weight is None else _by_channel(d_weight * self.unscaled),
                None if along is None else _by_channel(g_weight * along),
                None if d_bias is None else d_bias * self.shift,
                None if along_bias is None else g_bias * along_bias,
            )
            self._add(gradients, "gamma", None if value is None else value * self.inverse)
        self._add(gradients, "beta", d_bias)
        if "bias" in self.names:
            value = total(
                None if d_bias is None else d_bias * self.scale,
                None if d_scale is None else g_bias * d_scale,
            )
            self._add(gradients, "bias", value)

    def _d_scale(self, directions: Directions) -> Tensor | None:
        d_gamma = self._along(directions, "gamma")
        return None if d_gamma is None else d_gamma * self.inverse


def _by_channel(product: Tensor) -> Tensor:
    return product.flatten(1).sum(1)
