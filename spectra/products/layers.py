"""Layers whose value, gradient and the tangents of both are written out.

Every layer is used four ways. Forward: ``value``. Backward: ``pull`` takes the cotangent δ of the
output to those of the inputs. Then, along a direction in parameter space, ``tangent`` takes the
tangents of the inputs to that of the output, and ``pull_tangent`` takes δ and its tangent dδ to the
tangents of the inputs' cotangents and of the parameters' gradients. What does not depend on the
direction is saved once, by the first two.

Notation: a value x has a tangent dx; None stands for a tangent that is zero throughout.

Source: Pearlmutter 1994, layer by layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Directions = dict[str, Tensor]
_convolution_backward = torch.ops.aten.convolution_backward
_threshold_backward = torch.ops.aten.threshold_backward


@dataclass
class Saved:
    """What a layer keeps between products on one chunk of images.

    Attributes:
        inputs: values of its inputs.
        output: value of its output.
        delta: cotangent of its output.
        input_tangents: of the product in progress.
        extra: what else the layer wants to keep.
    """

    inputs: tuple[Tensor, ...]
    output: Tensor
    delta: Tensor | None = None
    input_tangents: tuple[Tensor | None, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


class Layer(ABC):
    """One step of a network; see the module's docstring.

    Attributes:
        keeps_output: whether the tangent passes read the output's value.
    """

    keeps_output = False

    @abstractmethod
    def value(self, *inputs: Tensor) -> Tensor:
        """Return the output."""

    @abstractmethod
    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the cotangents of the ``wanted`` inputs, from ``saved.delta``."""

    @abstractmethod
    def tangent(self, saved: Saved, directions: Directions) -> Tensor | None:
        """Return the tangent of the output, from ``saved.input_tangents``."""

    @abstractmethod
    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        directions: Directions,
        gradients: Directions,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the tangents of what :meth:`pull` returns; add to the parameters' ``gradients``."""


class Affine(Layer):
    """y = W ∗ x + b, a convolution or a linear layer, with the batch norm after it folded in.

    In eval mode a batch norm is y = s (z - μ) + β with s = γ / √(σ² + ε), so that the pair is one
    affine layer with W' = s W and b' = β + s (c - μ), c the bias before it. W' and b' are bilinear in
    (γ, β) and (W, c): :meth:`fold` and :meth:`unfold` are their tangent and its transpose.

    Args:
        names: of ``weight``, ``bias``, ``gamma``, ``beta``: the parameters that there are.
        module: the convolution or linear layer.
        norm: the batch norm, or None.
    """

    def __init__(self, names: dict[str, str], module: nn.Module, norm: nn.Module | None) -> None:
        self.names = names
        weight, bias = module.weight.detach(), module.bias
        self.shape = (-1, *[1] * (weight.ndim - 1))
        self.weight, self.mean, self.inverse, self.scale = weight, None, None, None
        self.offset = None if bias is None else bias.detach()
        self.folded, self.bias = weight, self.offset
        if norm is not None:
            self.inverse = (norm.running_var + norm.eps).rsqrt()
            gamma = torch.ones_like(self.inverse) if norm.weight is None else norm.weight.detach()
            beta = torch.zeros_like(self.inverse) if norm.bias is None else norm.bias.detach()
            self.scale = gamma * self.inverse
            # c - μ, what the scale multiplies in the bias
            self.mean = -norm.running_mean if self.offset is None else self.offset - norm.running_mean
            self.folded = weight * self.scale.view(self.shape)
            self.bias = beta + self.scale * self.mean
        self.folded = _packed(self.folded)

    def fold(self, directions: Directions) -> tuple[Tensor | None, Tensor | None]:
        """Return the tangents of W' and b' along ``directions``."""
        d_weight, d_bias, d_gamma, d_beta = (
            directions.get(self.names.get(k, "")) for k in ("weight", "bias", "gamma", "beta")
        )
        if self.scale is None:
            return (None if d_weight is None else _packed(d_weight)), d_bias
        d_scale = None if d_gamma is None else d_gamma * self.inverse
        folded = _sum(
            None if d_weight is None else d_weight * self.scale.view(self.shape),
            None if d_scale is None else self.weight * d_scale.view(self.shape),
        )
        offset = _sum(
            d_beta,
            None if d_scale is None else d_scale * self.mean,
            None if d_bias is None else d_bias * self.scale,
        )
        return (None if folded is None else _packed(folded)), offset

    def unfold(
        self,
        saved: Saved,
        d_weight: Tensor | None,
        d_bias: Tensor | None,
        directions: Directions,
        gradients: Directions,
    ) -> None:
        """Add the tangents of the parameters' gradients, from those of W' and b'."""
        if self.scale is None:
            self._add(gradients, "weight", d_weight)
            self._add(gradients, "bias", d_bias)
            return
        g_weight, g_bias = saved.extra["weight"], saved.extra["bias"]
        d_gamma = directions.get(self.names.get("gamma", ""))
        d_scale = None if d_gamma is None else d_gamma * self.inverse
        along = directions.get(self.names.get("weight", ""))
        along_bias = directions.get(self.names.get("bias", ""))
        scale = self.scale
        if "weight" in self.names:
            self._add(
                gradients,
                "weight",
                _sum(
                    None if d_weight is None else d_weight * scale.view(self.shape),
                    None if d_scale is None else g_weight * d_scale.view(self.shape),
                ),
            )
        if "gamma" in self.names:
            d_slope = _sum(
                None if d_weight is None else _by_channel(d_weight * self.weight),
                None if along is None else _by_channel(g_weight * along),
                None if d_bias is None else d_bias * self.mean,
                None if along_bias is None else g_bias * along_bias,
            )
            self._add(gradients, "gamma", None if d_slope is None else d_slope * self.inverse)
        self._add(gradients, "beta", d_bias)
        if "bias" in self.names:
            self._add(
                gradients,
                "bias",
                _sum(
                    None if d_bias is None else d_bias * scale,
                    None if d_scale is None else g_bias * d_scale,
                ),
            )

    def _add(self, gradients: Directions, kind: str, value: Tensor | None) -> None:
        name = self.names.get(kind)
        if name is None or value is None:
            return
        gradients[name] = gradients[name] + value if name in gradients else value

    @abstractmethod
    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return weight ∗ x + bias."""

    @abstractmethod
    def apply_pair(
        self, x: Tensor, weight: Tensor, y: Tensor, other: Tensor, bias: Tensor | None
    ) -> Tensor:
        """Return weight ∗ x + other ∗ y + bias."""

    @abstractmethod
    def pulled(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return weightᵀ δ, the cotangent of x."""

    @abstractmethod
    def pulled_pair(
        self, delta: Tensor, weight: Tensor, other_delta: Tensor, other: Tensor, x: Tensor
    ) -> Tensor:
        """Return weightᵀ δ + otherᵀ other_δ."""

    @abstractmethod
    def gradient(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return the gradient of the weight, δ xᵀ summed over images and places."""

    def bias_gradient(self, delta: Tensor) -> Tensor:
        """Return δ summed over images and places."""
        return delta.sum([i for i in range(delta.ndim) if i != 1])

    def value(self, *inputs: Tensor) -> Tensor:
        """Return W' ∗ x + b'."""
        return self.apply(inputs[0], self.folded, self.bias)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return the cotangent of x; keep the gradients of W' and b', which unfolding needs."""
        assert saved.delta is not None
        if self.scale is not None:
            saved.extra["weight"] = self.gradient(saved.delta, saved.inputs[0])
            saved.extra["bias"] = self.bias_gradient(saved.delta)
        return [self.pulled(saved.delta, saved.inputs[0], self.folded) if wanted[0] else None]

    def tangent(self, saved: Saved, directions: Directions) -> Tensor | None:
        """Return W' ∗ dx + dW' ∗ x + db'."""
        (x,), (dx,) = saved.inputs, saved.input_tangents
        d_weight, d_bias = self.fold(directions)
        saved.extra["d_weight"] = d_weight
        if d_weight is not None and dx is not None:
            return self.apply_pair(dx, self.folded, x, d_weight, d_bias)
        if d_weight is not None:
            return self.apply(x, d_weight, d_bias)
        if dx is not None:
            return self.apply(dx, self.folded, d_bias)
        if d_bias is None:
            return None
        return d_bias.view(1, *self.shape).expand_as(saved.delta)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        directions: Directions,
        gradients: Directions,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return d(W'ᵀ δ) = W'ᵀ dδ + dW'ᵀ δ; the gradients likewise by the product rule."""
        (x,), (dx,), delta = saved.inputs, saved.input_tangents, saved.delta
        assert delta is not None
        d_weight = saved.extra.pop("d_weight")
        moved = None if d_delta is None else self.gradient(d_delta, x)
        if dx is not None:
            moved = _sum(moved, self.gradient(delta, dx))
        bias = None if d_delta is None else self.bias_gradient(d_delta)
        self.unfold(saved, moved, bias, directions, gradients)
        if not wanted[0]:
            return [None]
        if d_delta is not None and d_weight is not None:
            return [self.pulled_pair(d_delta, self.folded, delta, d_weight, x)]
        if d_delta is not None:
            return [self.pulled(d_delta, x, self.folded)]
        return [None if d_weight is None else self.pulled(delta, x, d_weight)]


class Convolution(Affine):
    """A convolution of any stride, padding, dilation and number of groups.

    The two terms of a product rule are one convolution over twice the channels, which runs faster
    than two: 16 channels do not fill a vector unit.
    """

    def __init__(
        self,
        names: dict[str, str],
        module: nn.Conv1d | nn.Conv2d | nn.Conv3d,
        norm: nn.Module | None,
    ) -> None:
        super().__init__(names, module, norm)
        self.groups = module.groups
        self.options = (
            list(module.stride), list(module.padding), list(module.dilation), False,
            [0] * len(module.stride), module.groups,
        )  # fmt: skip

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return weight ∗ x + bias."""
        return torch.convolution(x, weight, bias, *self.options)

    def apply_pair(
        self, x: Tensor, weight: Tensor, y: Tensor, other: Tensor, bias: Tensor | None
    ) -> Tensor:
        """Return weight ∗ x + other ∗ y + bias."""
        if self.groups > 1:
            return self.apply(x, weight, bias).add_(self.apply(y, other, None))
        return self.apply(torch.cat([x, y], 1), torch.cat([weight, other], 1), bias)

    def pulled(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return weightᵀ δ."""
        return _convolution_backward(
            delta, x, weight, None, *self.options, [True, False, False]
        )[0]

    def pulled_pair(
        self, delta: Tensor, weight: Tensor, other_delta: Tensor, other: Tensor, x: Tensor
    ) -> Tensor:
        """Return weightᵀ δ + otherᵀ other_δ."""
        if self.groups > 1:
            return self.pulled(delta, x, weight).add_(self.pulled(other_delta, x, other))
        return self.pulled(torch.cat([delta, other_delta], 1), x, torch.cat([weight, other], 0))

    def gradient(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return the gradient of the weight."""
        # Without the bias: asking for both halves the speed on narrow layers (oneDNN, AVX2).
        return _convolution_backward(
            delta, x, self.folded, None, *self.options, [False, True, False]
        )[1]


class LinearLayer(Affine):
    """A linear layer on (n, features)."""

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return x weightᵀ + bias."""
        return F.linear(x, weight, bias)

    def apply_pair(
        self, x: Tensor, weight: Tensor, y: Tensor, other: Tensor, bias: Tensor | None
    ) -> Tensor:
        """Return x weightᵀ + y otherᵀ + bias."""
        return F.linear(x, weight, bias).addmm_(y, other.T)

    def pulled(self, delta: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Return δ weight."""
        return delta @ weight

    def pulled_pair(
        self, delta: Tensor, weight: Tensor, other_delta: Tensor, other: Tensor, x: Tensor
    ) -> Tensor:
        """Return δ weight + other_δ other."""
        return (delta @ weight).addmm_(other_delta, other)

    def gradient(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return δᵀ x."""
        return delta.T @ x


class Relu(Layer):
    """max(x, 0): its second derivative is 0 wherever it has one."""

    keeps_output = True

    def value(self, *inputs: Tensor) -> Tensor:
        """Return max(x, 0)."""
        return torch.relu(inputs[0])

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return δ where x > 0."""
        return [_threshold_backward(saved.delta, saved.output, 0)]

    def tangent(self, saved: Saved, directions: Directions) -> Tensor | None:
        """Return dx where x > 0."""
        (dx,) = saved.input_tangents
        return None if dx is None else _threshold_backward(dx, saved.output, 0)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        directions: Directions,
        gradients: Directions,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dδ where x > 0."""
        return [None if d_delta is None else _threshold_backward(d_delta, saved.output, 0)]


class Activation(Layer):
    """An elementwise function with φ' and φ'' by automatic differentiation, saved once.

    Args:
        function: elementwise and twice differentiable almost everywhere.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def value(self, *inputs: Tensor) -> Tensor:
        """Return φ(x)."""
        return self.function(inputs[0])

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return φ'(x) δ; keep φ'(x) and φ''(x) δ."""
        with torch.enable_grad():
            x = saved.inputs[0].detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.function(x).sum(), x, create_graph=True)
            bend = torch.zeros_like(x)
            if slope.requires_grad:
                (bend,) = torch.autograd.grad(slope.sum(), x, materialize_grads=True)
        saved.extra.update(slope=slope.detach(), bend=bend * saved.delta)
        return [saved.extra["slope"] * saved.delta]

    def tangent(self, saved: Saved, directions: Directions) -> Tensor | None:
        """Return φ'(x) dx."""
        (dx,) = saved.input_tangents
        return None if dx is None else saved.extra["slope"] * dx

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        directions: Directions,
        gradients: Directions,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return φ'(x) dδ + φ''(x) dx δ."""
        (dx,) = saved.input_tangents
        return [
            _sum(
                None if d_delta is None else saved.extra["slope"] * d_delta,
                None if dx is None else saved.extra["bend"] * dx,
            )
        ]


class Sum(Layer):
    """x + y of two values of one shape."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Return x + y."""
        return inputs[0] + inputs[1]

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return δ twice."""
        return [saved.delta, saved.delta]

    def tangent(self, saved: Saved, directions: Directions) -> Tensor | None:
        """Return dx + dy."""
        return _sum(*saved.input_tangents)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        directions: Directions,
        gradients: Directions,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return dδ twice."""
        return [d_delta, d_delta]


class LinearMap(Layer):
    """A parameter-free operation that is linear in its one tensor: its tangent is itself.

    Args:
        function: of the one tensor.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def value(self, *inputs: Tensor) -> Tensor:
        """Return f(x)."""
        return self.function(inputs[0])

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return fᵀ δ."""
        return [self._transposed(saved, saved.delta)]

    def tangent(self, saved: Saved, directions: Directions) -> Tensor | None:
        """Return f dx."""
        (dx,) = saved.input_tangents
        return None if dx is None else self._moved(saved, dx)

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        directions: Directions,
        gradients: Directions,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return fᵀ dδ."""
        return [self._transposed(saved, d_delta)]

    def _moved(self, saved: Saved, dx: Tensor) -> Tensor:
        return self.function(dx)

    def _transposed(self, saved: Saved, cotangent: Tensor | None) -> Tensor | None:
        if cotangent is None:
            return None
        with torch.enable_grad():
            x = saved.inputs[0].detach().requires_grad_()
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
        flat = picked.reshape(*picked.shape[:2], -1)
        return dx.reshape(*dx.shape[:2], -1).gather(2, flat).view(*picked.shape[: 2 + spatial])


def _sum(*terms: Tensor | None) -> Tensor | None:
    present = [t for t in terms if t is not None]
    if not present:
        return None
    total = present[0]
    for term in present[1:]:
        total = total + term
    return total


def _by_channel(product: Tensor) -> Tensor:
    return product.flatten(1).sum(1)


def _packed(weight: Tensor) -> Tensor:
    """Return ``weight`` in channels-last order where it is a 2-d convolution's."""
    return weight.contiguous(memory_format=torch.channels_last) if weight.ndim == 4 else weight
