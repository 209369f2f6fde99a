"""Tensors of a pickle, made of their storages once sizes, strides and offsets are found in them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from checkpoints.formats.pickles.stand_ins import Array, integers

_STORED_IN = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16,
    "BFloat16": torch.bfloat16, "Long": torch.int64, "Int": torch.int32, "Short": torch.int16,
    "Char": torch.int8, "Byte": torch.uint8, "Bool": torch.bool,
    "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128,
}  # fmt: skip
# Of quantised tensors: their bytes are passed over, and so is their meaning.
_QUANTISED = {"QInt8": 1, "QUInt8": 1, "QInt32": 4, "QUInt4x2": 1, "QUInt2x4": 1}


@dataclass(frozen=True)
class Element:
    """What a storage is made of.

    Attributes:
        nbytes: of one.
        dtype: None: quantised.
    """

    nbytes: int
    dtype: torch.dtype | None


@dataclass(frozen=True)
class Storage:
    """A storage that tensors are made of.

    Attributes:
        content: its bytes, uint8, shape (n,).
        element: what they are read as.
    """

    content: Tensor
    element: Element


@dataclass(frozen=True)
class OtherTensor:
    """A tensor that is not dense and real in memory, and is not made.

    Attributes:
        kind: ``sparse``, ``quantised``, ``nested``, ``meta``.
    """

    kind: str


@dataclass(frozen=True)
class _Word:
    """A layout or a scheme of quantisation that a pickle names."""

    name: str


def rebuilt(storage: Any, offset: Any, size: Any, stride: Any, dtype: Any = None) -> Tensor:
    """Return the tensor of a storage.

    Args:
        storage: that the pickle names.
        offset: of its first element.
        size: lengths.
        stride: elements from one index to the next.
        dtype: of its elements; None: those of the storage.

    Raises:
        UnpicklingError: it does not lie in the storage.
    """
    if type(storage) is not Storage:
        raise UnpicklingError("a tensor is made of no storage")
    kind = storage.element.dtype if dtype is None else dtype
    if not isinstance(kind, torch.dtype):
        raise UnpicklingError("a tensor has no type of numbers")
    lengths, steps = integers(size), integers(stride)
    (start,) = integers((offset,))
    if len(lengths) != len(steps):
        raise UnpicklingError("a tensor has other strides than lengths")
    last = start + sum((n - 1) * step for n, step in zip(lengths, steps, strict=True))
    held = storage.content.numel() // kind.itemsize
    if math.prod(lengths) == 0:
        return torch.empty(lengths, dtype=kind)
    if last >= held:
        raise UnpicklingError(f"a tensor of shape {lengths} lies outside its storage of {held}")
    flat = storage.content[: held * kind.itemsize].view(kind)
    return flat.as_strided(lengths, steps, start)


def _rebuilt(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, metadata: Any = None
) -> Tensor | OtherTensor:
    if type(storage) is Storage and storage.element.dtype is None:
        return OtherTensor("quantised")
    if type(metadata) is dict and metadata.get("neg"):
        return OtherTensor("a view of negated numbers")
    return rebuilt(storage, offset, size, stride)


def _rebuilt_as(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any,
    metadata: Any = None,
) -> Tensor:  # fmt: skip
    return rebuilt(storage, offset, size, stride, dtype)


def _parameter(data: Any, *args: Any) -> Tensor | OtherTensor:
    if not isinstance(data, Tensor | OtherTensor):
        raise UnpicklingError("a parameter or a tensor of another device is made of no tensor")
    return data


def _from_type(make: Any, kind: Any, args: Any, state: Any) -> Any:
    """Return what a tensor of another class, or with attributes, is made of."""
    if make not in TENSORS.values() or make is _from_type or type(args) is not tuple:
        raise UnpicklingError("a tensor of another class is made by something else")
    return make(*args)


def _from_numpy(data: Any, dtype: Any, device: Any, grad: Any) -> Tensor:
    if type(data) is not Array or data.values.dtype.kind not in "fiub":
        raise UnpicklingError("a tensor of another device is made of no array of numbers")
    return torch.from_numpy(data.values)


def _other(kind: str) -> Callable[..., OtherTensor]:
    return lambda *args: OtherTensor(kind)


def _word(name: Any = "") -> _Word:
    return _Word(str(name)[:40])


TENSORS: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": rebuilt,
    "torch._utils._rebuild_tensor_v2": _rebuilt,
    "torch._utils._rebuild_tensor_v3": _rebuilt_as,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch._utils._rebuild_device_tensor_from_numpy": _from_numpy,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _parameter,
    "torch._utils._rebuild_sparse_tensor": _other("sparse"),
    "torch._utils._rebuild_qtensor": _other("quantised"),
    "torch._utils._rebuild_nested_tensor": _other("nested"),
    "torch._utils._rebuild_meta_tensor_no_storage": _other("meta"),
    "torch._utils._rebuild_wrapper_subclass": _other("wrapped"),
    "torch.serialization._get_layout": _word,
}
"""What is called for the name of a function that makes a tensor."""

_SCHEMES = (
    "per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric",
    "per_channel_affine_float_qparams",
)  # fmt: skip
_DTYPES = {f"torch.{name}": found for name, found in vars(torch).items()
           if isinstance(found, torch.dtype)}  # fmt: skip
WORDS: Mapping[str, Any] = {
    **_DTYPES,
    **{f"torch.{name}": _Word(name) for name in _SCHEMES},
    "torch.Tensor": _Word("Tensor"),
    "torch._tensor.Tensor": _Word("Tensor"),
    **{
        f"torch.{device}{name}Storage": element
        for device in ("", "cuda.")
        for name, element in (
            *((name, Element(dtype.itemsize, dtype)) for name, dtype in _STORED_IN.items()),
            *((name, Element(nbytes, None)) for name, nbytes in _QUANTISED.items()),
        )
    },
    "torch.storage.UntypedStorage": Element(1, torch.uint8),
    "torch.storage._UntypedStorage": Element(1, torch.uint8),
}
"""What stands for a name that is not called."""
