"""Modules of torch that are one operation to ``torch.fx``, written out in the parts they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectra.products.sequences.recurrent import last_cell_state, recurrent_states

# Of a module and its arguments a function that calls its parts; None where it has no such form.
WrittenOut = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Callable[[], Any] | None]


def _masks(args: tuple[Any, ...], kwargs: Mapping[str, Any], mask: str) -> dict[str, Any]:
    """Return the masks among the arguments of an encoder, as attention names them."""
    named = dict(zip(("src", mask, "src_key_padding_mask", "is_causal"), args, strict=False))
    named |= kwargs
    found = {"attn_mask": named.get(mask), "key_padding_mask": named.get("src_key_padding_mask")}
    return {name: value for name, value in found.items() if value is not None}


def _encoder_layer(
    layer: nn.TransformerEncoderLayer, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Callable[[], Any] | None:
    """Return the layer's two residual blocks; its dropouts do nothing in eval mode."""
    if not args:
        return None
    x, masks = args[0], _masks(args, kwargs, "src_mask")

    def attended(x: Any) -> Any:
        return layer.self_attn(x, x, x, need_weights=False, **masks)[0]

    def forwarded(x: Any) -> Any:
        return layer.linear2(layer.activation(layer.linear1(x)))

    def parts() -> Any:
        if layer.norm_first:
            y = x + attended(layer.norm1(x))
            return y + forwarded(layer.norm2(y))
        y = layer.norm1(x + attended(x))
        return layer.norm2(y + forwarded(y))

    return parts


def _encoder(
    encoder: nn.TransformerEncoder, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Callable[[], Any] | None:
    """Return the encoder's layers, one after the other."""
    if not args:
        return None
    masks = _masks(args, kwargs, "mask")
    names = {"attn_mask": "src_mask", "key_padding_mask": "src_key_padding_mask"}

    def parts() -> Any:
        x = args[0]
        for layer in encoder.layers:
            x = layer(x, **{names[name]: mask for name, mask in masks.items()})
        return x if encoder.norm is None else encoder.norm(x)

    return parts


def _decoder_layer(
    layer: nn.TransformerDecoderLayer, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Callable[[], Any] | None:
    """Return the layer's three residual blocks."""
    names = ("tgt", "memory", "tgt_mask", "memory_mask", "tgt_key_padding_mask")
    given = dict(zip((*names, "memory_key_padding_mask"), args, strict=False)) | dict(kwargs)
    x, memory = given.get("tgt"), given.get("memory")
    if x is None or memory is None:
        return None

    def attended(x: Any) -> Any:
        masks = {"attn_mask": "tgt_mask", "key_padding_mask": "tgt_key_padding_mask"}
        found = {name: given.get(of) for name, of in masks.items()}
        return layer.self_attn(x, x, x, need_weights=False, **found)[0]

    def looked_up(x: Any) -> Any:
        masks = {"attn_mask": "memory_mask", "key_padding_mask": "memory_key_padding_mask"}
        found = {name: given.get(of) for name, of in masks.items()}
        return layer.multihead_attn(x, memory, memory, need_weights=False, **found)[0]

    def forwarded(x: Any) -> Any:
        return layer.linear2(layer.activation(layer.linear1(x)))

    def parts() -> Any:
        y = x
        for norm, block in zip(
            (layer.norm1, layer.norm2, layer.norm3), (attended, looked_up, forwarded), strict=True
        ):
            y = y + block(norm(y)) if layer.norm_first else norm(y + block(y))
        return y

    return parts


def _attention(
    attention: nn.MultiheadAttention, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Callable[[], Any] | None:
    """Return attention as linear maps and what is between; None where it adds keys of its own."""
    names = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask")
    given = dict(zip((*names, "average_attn_weights"), args, strict=False)) | dict(kwargs)
    given.pop("is_causal", None)  # the mask, which it then takes as well, says it
    if attention.bias_k is not None or attention.add_zero_attn or not {*names[:3]} <= {*given}:
        return None
    return lambda: _attended(attention, **given)


def _attended(
    attention: nn.MultiheadAttention,
    query: Any,
    key: Any,
    value: Any,
    *,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    average_attn_weights: bool = True,
) -> tuple[Any, Any]:
    heads = attention.num_heads
    if attention._qkv_same_embed_dim and query is key and key is value:
        joined = F.linear(query, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
        parts = [joined[i] for i in range(3)]
    else:
        weights: Any = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
        if attention._qkv_same_embed_dim:
            weights = attention.in_proj_weight.chunk(3)
        biases: Any = (None, None, None)
        if attention.in_proj_bias is not None:
            biases = attention.in_proj_bias.chunk(3)
        given = (query, key, value)
        parts = [F.linear(x, weights[i], biases[i]) for i, x in enumerate(given)]
    first = attention.batch_first
    order, back = ((0, 2, 1, 3), (0, 2, 1, 3)) if first else ((1, 2, 0, 3), (2, 0, 1, 3))
    q, k, v = (part.unflatten(-1, (heads, -1)).permute(*order) for part in parts)
    mask = None
    if attn_mask is not None or key_padding_mask is not None:
        # One operation: what it does depends on the masks' types and axes.
        mask = query.tracer.create_proxy(
            "call_function", joined_mask, (attn_mask, key_padding_mask, heads), {}
        )
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out = out.permute(*back).flatten(2)
    out = F.linear(out, attention.out_proj.weight, attention.out_proj.bias)
    if not need_weights:
        return out, None
    scores = q * attention.head_dim**-0.5 @ k.transpose(-2, -1)
    shares = (scores if mask is None else scores + mask).softmax(-1)
    return out, shares.mean(1) if average_attn_weights else shares


def joined_mask(mask: Tensor | None, padding: Tensor | None, heads: int) -> Tensor:
    """Return what is added to the scores of each image and head, -∞ where nothing is seen.

    Args:
        mask: (queries, keys) or (n heads, queries, keys); of bools that hide, or to be added.
        padding: (n, keys), the same.
        heads: of an image.
    """
    found = []
    if mask is not None:
        found.append(mask.unflatten(0, (-1, heads)) if mask.ndim == 3 else mask)
    if padding is not None:
        found.append(padding[:, None, None])
    added = [
        torch.zeros(m.shape, device=m.device).masked_fill(m, -torch.inf)
        if m.dtype == torch.bool
        else m
        for m in found
    ]
    return added[0] if len(added) == 1 else added[0] + added[1]


def _gated(
    gate: nn.GLU, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Callable[[], Any] | None:
    """Return one half times the sigmoid of the other."""

    def parts() -> Any:
        halves = args[0].chunk(2, gate.dim)
        return halves[0] * halves[1].sigmoid()

    return parts if args else None


def _recurrent(
    network: nn.LSTM | nn.GRU | nn.RNN, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Callable[[], Any] | None:
    """Return the layers, each direction for itself; None where they start at given states."""
    if len(args) != 1 or kwargs or network.proj_size:
        return None
    kind = network.mode.lower().removeprefix("rnn_")
    first = network.batch_first
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if network.bias else 2]

    def parts() -> Any:
        x, last, cells = args[0], [], []
        for layer in range(network.num_layers):
            both = []
            for reverse in (False, True)[: 2 if network.bidirectional else 1]:
                end = f"_l{layer}{'_reverse' if reverse else ''}"
                values = (x, *(getattr(network, f"{name}{end}") for name in kinds))
                options = {"kind": kind, "batch_first": first, "reverse": reverse}
                create = args[0].tracer.create_proxy
                states = create("call_function", recurrent_states, values, options)
                both.append(states)
                step = 0 if reverse else -1
                last.append(states[:, step] if first else states[step])
                if kind == "lstm":
                    cells.append(create("call_function", last_cell_state, values, options))
            x = torch.cat(both, -1) if len(both) > 1 else both[0]
        h = torch.stack(last)
        return x, (h, torch.stack(cells)) if cells else h

    return parts


WRITTEN_OUT: dict[type[nn.Module], WrittenOut] = {
    nn.TransformerEncoderLayer: _encoder_layer,
    nn.TransformerEncoder: _encoder,
    nn.TransformerDecoderLayer: _decoder_layer,
    nn.MultiheadAttention: _attention,
    nn.GLU: _gated,
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN), _recurrent),
}
