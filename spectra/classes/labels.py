"""Labels of images, and the losses that a caller names by them."""

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.objective.losses.refusals import check_logits
from spectra.operators.hessian import HessianOperator
from spectra.system.files.limits import check_limit

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
    if isinstance(labels, Tensor):
        found = labels.detach().cpu()
        whole, kind = not (found.is_floating_point() or found.is_complex()), str(found.dtype)
        whole = whole and found.dtype != torch.bool
    else:
        try:
            array = np.asarray(labels)
        except (TypeError, ValueError) as error:
            raise InputError(f"labels must be integers, one an image: {error}") from error
        whole, kind = array.dtype.kind in "iu" or not array.size, _kind(array)
        found = torch.from_numpy(array.astype(np.int64)) if whole else torch.empty(array.shape)
    if found.ndim != 1 or not whole:
        raise InputError(
            f"labels must be integers, one an image, got {kind} of shape {tuple(found.shape)}"
        )
    found = found.long()
    if len(found) and int(found.min()) < 0:
        raise InputError(f"labels must not be negative, got {int(found.min())}")
    if len(found):
        what = "classes are numbered from 0 (torch.unique(labels, return_inverse=True) does it), "
        check_limit("classes", int(found.max()) + 1, what + "and the largest label, plus one")
    return found


def check_label_of_data(op: HessianOperator, largest: int) -> None:
    """Raise InputError where data have labels that the network has no output for.

    Cross-entropy asks that of the labels of one loss; where those of others are wrong, such as
    labels that begin at 1, they are most likely wrong in all.

    Args:
        op: of one loss by cross-entropy.
        largest: label in all of the data.
    """
    with torch.no_grad():
        check_logits(op.model(op.images[:1]), torch.tensor([largest]))


def parts_of(classes: Classes) -> Parts:
    """Read ``classes`` as far as no data are needed.

    Args:
        classes: ``all``: every class by itself; ``overall``: all of them together; a label; several
            of these; or names of one's own, such as ``{"tail": [7, 8, 9]}``.

    Raises:
        InputError: it is none of these, or names nothing.
    """
    if isinstance(classes, Mapping):
        groups = {
            str(name): tuple(dict.fromkeys(_label(c) for c in _listed(of)))
            for name, of in classes.items()
        }
        if not groups or not all(groups.values()):
            raise InputError(f"every group needs a class, got {dict(classes)!r}")
        return groups
    parts = tuple(p if p in ("all", "overall") else _label(p) for p in _listed(classes))
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


def _listed(value: Any) -> Iterable[Any]:
    """Return several labels as they are, and one as a list of it."""
    one = isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) < 1
    return [value] if one else value


def _kind(array: npt.NDArray[Any]) -> str:
    """Return what an array holds that holds no integers: its dtype, and a word of it."""
    if array.dtype.kind in "OUS" and array.size:
        return f"{type(array.flat[0]).__name__} such as {array.flat[0]!r}"
    return str(array.dtype)


def _label(value: Any) -> int:
    try:
        label = int(value) if isinstance(value, str) else operator.index(value)
    except (TypeError, ValueError):
        raise InputError(f"{_EXPECTED}; got {value!r}") from None
    if label < 0:
        raise InputError(f"classes must not be negative, got {label}")
    return label
