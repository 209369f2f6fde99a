"""Labels of images, and the losses that a caller names by them."""

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError

# A label, "all", "overall", several of these, or names of one's own for groups of labels.
Classes = int | str | Iterable[int | str] | Mapping[str, Iterable[int]]
# The same, read: each part is a label, "all" or "overall"; or the labels of each group.
Parts = tuple[int | str, ...] | dict[str, tuple[int, ...]]

_EXPECTED = "classes must be all, overall, labels such as 8 or (0, 8), or groups by name"


def as_labels(labels: Any) -> Tensor:
    """Return labels (N,) as int64 on the CPU.

    Raises:
        InputError: they are not whole numbers from 0 on, one an image.

    >>> as_labels([0, 2, 1])
    tensor([0, 2, 1])
    """
    try:
        found = labels.cpu() if isinstance(labels, Tensor) else torch.from_numpy(np.array(labels))
    except (TypeError, ValueError) as error:
        raise InputError(f"labels must be integers, one an image: {error}") from error
    if found.ndim != 1 or found.is_floating_point() or found.dtype == torch.bool:
        raise InputError(
            f"labels must be integers, one an image, got {found.dtype} of shape "
            f"{tuple(found.shape)}"
        )
    if len(found) and int(found.min()) < 0:
        raise InputError(f"labels must not be negative, got {int(found.min())}")
    return found.long()


def parts_of(classes: Classes) -> Parts:
    """Read ``classes`` as far as no data are needed.

    Args:
        classes: ``all``: every class by itself; ``overall``: all of them together; a label; several
            of these; or names of one's own, such as ``{"tail": [7, 8, 9]}``.

    Raises:
        InputError: it is none of these, or names nothing.
    """
    if isinstance(classes, Mapping):
        groups = {str(name): tuple(_label(c) for c in of) for name, of in classes.items()}
        if not groups or not all(groups.values()):
            raise InputError(f"every group needs a class, got {dict(classes)!r}")
        return groups
    several = isinstance(classes, Iterable) and not isinstance(classes, str)
    listed: Iterable[Any] = classes if several else [classes]  # type: ignore[assignment]
    parts = tuple(p if p in ("all", "overall") else _label(p) for p in listed)
    if not parts:
        raise InputError(f"{_EXPECTED}; got none")
    return parts


def labels_named(parts: Parts) -> frozenset[int] | None:
    """Return the labels whose images are wanted; None where those of every label are."""
    if isinstance(parts, dict):
        return frozenset(c for of in parts.values() for c in of)
    if "all" in parts or "overall" in parts:
        return None
    return frozenset(p for p in parts if isinstance(p, int))


def losses_of(parts: Parts, *, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Return the label of each loss, and the classes whose images it runs over.

    Args:
        parts: what :func:`parts_of` returned.
        num_classes: C.

    Raises:
        InputError: a class is C or beyond.

    >>> losses_of(parts_of(["overall", 2]), num_classes=3)
    {'overall': (0, 1, 2), '2': (2,)}
    """
    every = tuple(range(num_classes))
    named = (c for of in parts.values() for c in of) if isinstance(parts, dict) else parts
    beyond = [c for c in named if isinstance(c, int) and c >= num_classes]
    if beyond:
        raise InputError(f"class {min(beyond)} does not exist; classes are 0..{num_classes - 1}")
    if isinstance(parts, dict):
        return dict(parts)
    losses: dict[str, tuple[int, ...]] = {}
    for part in parts:
        if part == "all":
            losses |= {str(c): (c,) for c in every}
        elif isinstance(part, str):
            losses["overall"] = every
        else:
            losses[str(part)] = (part,)
    return losses


def _label(value: Any) -> int:
    try:
        label = int(value) if isinstance(value, str) else operator.index(value)
    except (TypeError, ValueError):
        raise InputError(f"{_EXPECTED}; got {value!r}") from None
    if label < 0:
        raise InputError(f"classes must not be negative, got {label}")
    return label
