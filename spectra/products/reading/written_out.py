"""Modules of torch that are one operation to ``torch.fx``, written out in the parts they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

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


WRITTEN_OUT: dict[type[nn.Module], WrittenOut] = {
    nn.TransformerEncoderLayer: _encoder_layer,
    nn.TransformerEncoder: _encoder,
}
