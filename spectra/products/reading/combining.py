"""Makers of layers that combine values: arithmetic, linear maps, embeddings, softmax, attention."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from spectra.products.layers.arithmetic import Product, Quotient, WeightedSum
from spectra.products.layers.interface import Layer
from spectra.products.layers.linear import Linear
from spectra.products.layers.matrix_products import MatrixProduct, NamedAxes
from spectra.products.layers.pointwise import PRelu
from spectra.products.layers.softmax import LogSoftmax, Softmax
from spectra.products.reading.calls import Call, Known, Maker
from spectra.products.sequences.attention import Attention
from spectra.products.sequences.embedding import Embedding
from spectra.products.sequences.recurrent import CELLS, Recurrent, recurrent_states


def _of_two(layer: Callable[[], Layer]) -> Maker:
    """Return a maker for calls of two values and nothing else."""

    def make(call: Call) -> Known | None:
        if call.kwargs or len(call.args) != 2 or not _are_values(*call.args):
            return None
        return Known(layer(), tuple(call.args))

    return make


def _sum(sign: float) -> Maker:
    """Return a maker of sums, or of differences, the second value perhaps with a factor."""

    def make(call: Call) -> Known | None:
        x, y = call.argument(0, "input"), call.argument(1, "other")
        factor = call.kwargs.get("alpha", 1)
        if len(call.args) > 2 or not _are_values(x, y) or not isinstance(factor, (int, float)):
            return None
        return Known(WeightedSum(sign * factor), (x, y))

    return make


def _named_axes(call: Call) -> Known | None:
    """Return a product of two values in Einstein's notation, without repeated or lone letters."""
    equation, values = call.args[0], call.args[1:]
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = tuple(values[0])
    if not isinstance(equation, str) or len(values) != 2 or not _are_values(*values):
        return None
    terms, arrow, result = equation.replace(" ", "").partition("->")
    first, _, second = terms.partition(",")
    letters = set(first) | set(second) | set(result)
    plain = bool(arrow) and all(letter.isalpha() for letter in letters)
    once = all(len(set(axes)) == len(axes) for axes in (first, second, result))
    shared = all(sum(x in axes for axes in (first, second, result)) > 1 for x in letters)
    if not (plain and once and shared):
        return None
    return Known(NamedAxes(first, second, result), values)


def _linear(call: Call) -> Known | None:
    if isinstance(call.module, nn.Linear):
        owned = ("weight",) if call.module.bias is None else ("weight", "bias")
        return Known(Linear(), (call.args[0], *owned)) if call.takes_one() else None
    given = (call.argument(0, "input"), call.argument(1, "weight"), call.argument(2, "bias"))
    inputs = given if given[2] is not None else given[:2]
    return Known(Linear(), inputs) if _are_values(*inputs) else None


def _prelu(call: Call) -> Known | None:
    inputs = call.args if call.module is None else (*call.args, "weight")
    return Known(PRelu(), inputs) if len(inputs) == 2 and not call.kwargs else None


def _embedding(call: Call) -> Known | None:
    module = call.module
    if isinstance(module, nn.Embedding):
        if module.max_norm is not None or module.scale_grad_by_freq or not call.takes_one():
            return None
        return Known(Embedding(module.padding_idx), (call.args[0], "weight"))
    picked, table = call.argument(0, "input"), call.argument(1, "weight")
    plain = call.argument(3, "max_norm") is None and not call.argument(5, "scale_grad_by_freq")
    if not plain or not _are_values(picked, table):
        return None
    return Known(Embedding(call.argument(2, "padding_idx")), (picked, table))


def _softmax(layer: Callable[[int], Layer]) -> Maker:
    """Return a maker for calls along a given axis, in the dtype of the value."""

    def make(call: Call) -> Known | None:
        axis = call.argument(1, "dim") if call.module is None else call.module.dim
        given = len(call.args) <= 2 and call.kwargs.get("dtype") is None
        if not given or not isinstance(axis, int) or not call.takes_one():
            return None
        return Known(layer(axis), (call.args[0],))

    return make


def _attention(call: Call) -> Known | None:
    """Return attention without dropout, each head with keys of its own."""
    q, k, v = (call.argument(i, name) for i, name in enumerate(("query", "key", "value")))
    mask, causal = call.argument(3, "attn_mask"), call.argument(5, "is_causal", False)
    drops, shares = call.argument(4, "dropout_p", 0.0), call.kwargs.get("enable_gqa", False)
    scale = call.kwargs.get("scale")
    inputs = (q, k, v) if mask is None else (q, k, v, mask)
    plain = drops == 0 and shares is False and isinstance(causal, bool)
    if not plain or not isinstance(scale, (float, int, type(None))) or not _are_values(*inputs):
        return None
    return Known(Attention(scale=scale, causal=causal, has_mask=mask is not None), inputs)


def _recurrent(call: Call) -> Known | None:
    options = dict(call.kwargs)
    return Known(Recurrent(CELLS[options.pop("kind")], **options), call.args)


def _are_values(*arguments: Any) -> bool:
    return all(isinstance(argument, fx.Node) for argument in arguments)


MODULES: dict[type[nn.Module], Maker] = {
    nn.Linear: _linear,
    nn.PReLU: _prelu,
    nn.Embedding: _embedding,
    nn.Softmax: _softmax(Softmax),
    nn.LogSoftmax: _softmax(LogSoftmax),
}
FUNCTIONS: dict[Callable[..., Any], Maker] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add), _sum(1)),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, torch.subtract), _sum(-1)),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, torch.multiply), _of_two(Product)),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div), _of_two(Quotient)),
    F.linear: _linear,
    **dict.fromkeys((operator.matmul, torch.matmul, torch.bmm, torch.mm), _of_two(MatrixProduct)),
    torch.einsum: _named_axes,
    **dict.fromkeys((F.prelu, torch.prelu), _prelu),
    F.embedding: _embedding,
    **dict.fromkeys((F.softmax, torch.softmax), _softmax(Softmax)),
    **dict.fromkeys((F.log_softmax, torch.log_softmax), _softmax(LogSoftmax)),
    F.scaled_dot_product_attention: _attention,
    recurrent_states: _recurrent,
}
METHODS: dict[str, Maker] = {
    **dict.fromkeys(("add", "add_"), _sum(1)),
    **dict.fromkeys(("sub", "sub_"), _sum(-1)),
    **dict.fromkeys(("mul", "mul_"), _of_two(Product)),
    **dict.fromkeys(("div", "div_"), _of_two(Quotient)),
    **dict.fromkeys(("matmul", "bmm", "mm"), _of_two(MatrixProduct)),
    "softmax": _softmax(Softmax),
    "log_softmax": _softmax(LogSoftmax),
}
