"""Samples that a network takes as several tensors, and what is done with samples of any kind."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError, first_line
from spectra.objective.images import LazyImages
from spectra.objective.samples.trees import is_branch, leaves, map_leaves

logger = logging.getLogger(__name__)

# Samples looked at in one piece, where all have to be.
_PIECE = 1024


class InputTree:
    """n samples in the dictionary, tuple, list or dataclass of tensors that a network takes.

    Args:
        tree: its leaves are tensors or :class:`spectra.LazyImages`, one entry a sample.

    Raises:
        InputError: it holds none, or leaves of different lengths.

    >>> ids, mask = torch.arange(6).reshape(3, 2), torch.ones(3, 2, dtype=torch.bool)
    >>> InputTree({"input_ids": ids, "attention_mask": mask})[:1]
    {'input_ids': tensor([[0, 1]]), 'attention_mask': tensor([[True, True]])}
    """

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self.leaves: dict[str, Tensor | LazyImages] = dict(leaves(tree))
        if not self.leaves:
            raise InputError("there are no inputs: the tree that was given holds no tensor")
        lengths = {name: len(x) if x.ndim else None for name, x in self.leaves.items()}
        if len(set(lengths.values())) > 1 or None in lengths.values():
            found = ", ".join(
                f"{name} has {'no axis' if n is None else n}" for name, n in lengths.items()
            )
            raise InputError(f"every input must have one entry a sample, but {found}")

    def __len__(self) -> int:
        return len(next(iter(self.leaves.values())))

    def __getitem__(self, which: slice | Tensor) -> Any:
        """Return the samples of a slice, or at positions, int64 (k,), as a tree of tensors."""
        return map_leaves(lambda x: x[which], self.tree)

    @property
    def device(self) -> torch.device:
        """An accelerator that a leaf is on, else the CPU."""
        found = sorted(
            (leaf.device for leaf in self.leaves.values()), key=lambda d: d.type == "cpu"
        )
        return found[0]


# What holds samples of one input.
_KINDS = (Tensor, LazyImages, np.ndarray)

Samples: TypeAlias = Tensor | LazyImages | InputTree


def as_samples(given: Any) -> Samples:
    """Return what a caller gives as inputs of a network as tensors.

    In dictionaries, what is no tensor or array (names, texts) is left out, which is said.

    Raises:
        InputError: it is nothing of the kind.
    """
    if isinstance(given, Tensor) and (given.layout != torch.strided or given.is_nested):
        raise InputError(
            f"images must be dense tensors, got one of layout {given.layout}; call to_dense(), or "
            "pad sequences of different lengths"
        )
    if isinstance(given, (Tensor, LazyImages, InputTree)):
        return given
    if isinstance(given, np.ndarray):
        return _tensor(given, "images")
    if not is_branch(given):
        raise InputError(
            "images must be a tensor or an array of numbers, or a dictionary, tuple or list of "
            f"such inputs, got {type(given).__name__}"
        )
    return InputTree(_of_tensors(given, ""))


def samples_of(given: Any, count: int) -> Samples:
    """Return inputs as tensors, and a list of images, or of numbers, as one tensor.

    A tuple or list is one of several inputs where each has ``count`` entries.

    Raises:
        InputError: it is nothing of the kind.
    """
    if type(given) not in (tuple, list):
        return as_samples(given)
    parts = [part for _, part in leaves(given) if isinstance(part, _KINDS)]
    held = all(isinstance(part, _KINDS) or is_branch(part) for part in given)
    if parts and held and all(part.ndim and len(part) == count for part in parts):
        images = isinstance(given, list) and len(given) == count
        if not images or isinstance(given[0], LazyImages):
            return as_samples(given)
    return _stacked(given)


def _stacked(images: Any) -> Tensor:
    """Return a list of images, or of numbers, as one tensor."""
    try:
        if images and isinstance(images[0], Tensor):
            return torch.stack(tuple(images))
        array = np.asarray(images)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"images must be of one shape: {first_line(error)}") from error
    return _tensor(array, "images")


def select(samples: Samples, index: Tensor) -> Samples:
    """Return the samples at positions ``index``, int64 (k,)."""
    if isinstance(samples, InputTree):
        return InputTree(map_leaves(lambda x: select(x, index), samples.tree))
    if isinstance(samples, LazyImages):
        return samples.select(index)
    return samples[index.to(samples.device)]


def frozen(samples: Samples, device: torch.device, dtype: torch.dtype) -> Samples:
    """Return samples on ``device`` that nobody else changes: a copy, but of lazy ones.

    Args:
        samples: as they were given.
        device: where they go.
        dtype: of real numbers; integers and truth values stay what they are.
    """
    if isinstance(samples, InputTree):
        return InputTree(map_leaves(lambda x: frozen(x, device, dtype), samples.tree))
    if isinstance(samples, LazyImages):
        return samples.to(device, dtype)
    return samples.detach().to(device, _kept_kind(samples, dtype), copy=True)


def in_dtype(batch: Any, dtype: torch.dtype) -> Any:
    """Return a batch, a tensor or a tree of them, with its real numbers in ``dtype``."""
    return map_leaves(lambda x: x.to(_kept_kind(x, dtype)), batch)


def equal(samples: Samples, others: Samples) -> bool:
    """Return whether every number is the same in both, which have one form."""
    pairs = zip(leaves(_tree(samples)), leaves(_tree(others)), strict=True)
    return all(torch.equal(x[:], y[:]) for (_, x), (_, y) in pairs)


def forms(samples: Samples) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Return dtype and shape of each tensor by its place; the lone one's is empty."""
    return {name: (x.dtype, tuple(x.shape)) for name, x in leaves(_tree(samples))}


def described(samples: Samples) -> str:
    """Return dtypes and shapes in words, such as ``input_ids int64 (6, 12)``."""
    return ", ".join(
        f"{name} {str(dtype).removeprefix('torch.')} {shape}".strip()
        for name, (dtype, shape) in forms(samples).items()
    )


def all_finite(samples: Samples) -> bool:
    """Return whether no value is NaN or infinite; masks, beside others, may hold -inf."""
    if isinstance(samples, InputTree):
        return all(_finite(x, masks=True) for x in samples.leaves.values())
    return _finite(samples, masks=False)


def _tree(samples: Samples) -> Any:
    return samples.tree if isinstance(samples, InputTree) else samples


def _finite(leaf: Tensor | LazyImages, *, masks: bool) -> bool:
    if not leaf.dtype.is_floating_point and not leaf.dtype.is_complex:
        return True
    pieces = (leaf[i : i + _PIECE] for i in range(0, len(leaf), _PIECE))
    if masks and leaf.dtype.is_floating_point:
        return all(bool((p < torch.inf).all()) for p in pieces)
    return all(bool(torch.isfinite(piece).all()) for piece in pieces)


def _kept_kind(values: Tensor, dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that ``values`` have where real numbers are in ``dtype``."""
    if values.is_floating_point():
        return dtype
    return dtype.to_complex() if values.is_complex() else values.dtype


def _of_tensors(tree: Any, name: str) -> Any:
    """Return a tree with its arrays as tensors, and without what a dictionary holds beside them."""
    if isinstance(tree, (Tensor, LazyImages)):
        return as_samples(tree)
    if isinstance(tree, np.ndarray) and tree.dtype.kind in "biufc":
        return _tensor(tree, name)
    if isinstance(tree, Mapping):
        kept = {k: v for k, v in tree.items() if _holds_tensors(v)}
        for key in tree.keys() - kept.keys():
            if tree[key] is not None:
                _say_left_out(str(key))
        return {k: _of_tensors(v, f"{name}.{k}" if name else str(k)) for k, v in kept.items()}
    if isinstance(tree, (tuple, list)):
        made = [_of_tensors(v, f"{name}.{i}" if name else str(i)) for i, v in enumerate(tree)]
        if isinstance(tree, list):
            return made
        return type(tree)(*made) if hasattr(tree, "_fields") else tuple(made)
    if is_branch(tree):
        return map_leaves(lambda x: _of_tensors(x, name), tree)
    raise InputError(f"input {name} must be a tensor, got {type(tree).__name__}")


@functools.cache
def _say_left_out(name: str) -> None:
    logger.warning("input %s is left out: it is no tensor", name)


def _holds_tensors(value: Any) -> bool:
    found = [leaf for _, leaf in leaves(value)]
    return bool(found) and all(
        isinstance(leaf, _KINDS) and getattr(leaf.dtype, "kind", "f") in "biufc" for leaf in found
    )


def _tensor(array: Any, name: str) -> Tensor:
    if array.dtype.kind not in "biufc":
        raise InputError(f"{name} must be numbers, got {array.dtype} of shape {array.shape}")
    native = array.astype(array.dtype.newbyteorder("="), copy=not array.flags.writeable)
    return torch.from_numpy(native)
