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


def losses_of(classes: Classes, *, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Return the losses that ``classes`` names, in the order asked for.

    Args:
        classes: ``all``: every class by itself; ``overall``: all of them together; a label; several
            of these; or names of one's own, such as ``{"tail": [7, 8, 9]}``.
        num_classes: C.

    Returns:
        The label of each loss, and the classes whose images it runs over.

    Raises:
        InputError: a class is none of these.

    >>> losses_of(["overall", 2], num_classes=3)
    {'overall': (0, 1, 2), '2': (2,)}
    """
    if isinstance(classes, Mapping):
        named = {
            str(name): tuple(_label(c, num_classes) for c in of) for name, of in classes.items()
        }
        if not named or not all(named.values()):
            raise InputError(f"every group needs a class, got {dict(classes)!r}")
        return named
    chosen: dict[str, tuple[int, ...]] = {}
    for part in [classes] if isinstance(classes, (str, int)) else classes:
        if part == "all":
            chosen |= {str(c): (c,) for c in range(num_classes)}
        elif part == "overall":
            chosen["overall"] = tuple(range(num_classes))
        else:
            label = _label(part, num_classes)
            chosen[str(label)] = (label,)
    if not chosen:
        raise InputError("no classes named; give all, overall, or labels such as 8 or (0, 8)")
    return chosen


def _label(value: object, num_classes: int) -> int:
    try:
        label = int(value) if isinstance(value, str) else operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(
            f"classes must be all, overall, labels such as 8 or (0, 8), or groups by name, got "
            f"{value!r}"
        ) from None
    if not 0 <= label < num_classes:
        raise InputError(f"class {label} does not exist; classes are 0..{num_classes - 1}")
    return label
