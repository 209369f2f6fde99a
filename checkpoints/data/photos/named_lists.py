"""Where the lists of a source lie: those published of ImageNet-LT and iNaturalist 2018, or any."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from checkpoints.data.photos.lists import read_list
from checkpoints.data.photos.photos import SIDE, Photos
from checkpoints.data.photos.published_order import published_order
from spectra.errors import InputError

LIST = "list"
# Classes are numbered as in networks of the paper's code.
SORTED = "sorted"
# Names of the lists that were published, training and test; the first one that is there is read.
PUBLISHED = {
    "imagenet-lt": (("ImageNet_LT_train.txt",), ("ImageNet_LT_test.txt",)),
    "inaturalist18": (
        ("iNaturalist18_train.txt", "train2018.json"),
        ("iNaturalist18_val.txt", "val2018.json"),
    ),
}
PHOTO_SOURCES = (*PUBLISHED, LIST)
_FORMS = {kind: f"{kind}:DIR[,SIZE][,{SORTED}]" for kind in PUBLISHED} | {
    LIST: f"list:TRAIN.txt,TEST.txt,ROOT[,SIZE][,{SORTED}]"
}
# Ours: twice what the largest networks for photographs take.
_LARGEST_SIDE = 1024
_SMALLEST_SIDE = 8


@dataclass(frozen=True)
class ListedSource:
    """What lists name.

    Attributes:
        name: of the folder of the images, or of the training list.
        train: training images.
        test: test images, or None where no list names any.
        notes: on what the lists leave out.
    """

    name: str
    train: Photos
    test: Photos | None
    notes: tuple[str, ...]


def read_named_lists(kind: str, place: str, *, beside: Path | None = None) -> ListedSource:
    """Read the lists of a source; no image is opened.

    Args:
        kind: one of :data:`PHOTO_SOURCES`.
        place: what follows the colon: ``DIR[,SIZE]``, or ``TRAIN.txt,TEST.txt,ROOT[,SIZE]``; TEST
            may be empty. ``,sorted`` behind it numbers the classes from the one of most training
            images down, as :func:`published_order` does, and not as the lists do.
        beside: folder in which places are looked up that are not there.

    Raises:
        InputError: a list or folder is missing, or not what it should be.
    """
    parts, size, renumbered = _read_place(kind, place)
    if kind == LIST:
        train, test, root = (_place(part, beside) for part in parts)
        if train is None or root is None:
            raise InputError(f"expected {_FORMS[kind]}, got {kind}:{place}")
        name = train.stem
    else:
        (root,) = (_place(part, beside) for part in parts)
        if root is None:
            raise InputError(f"expected {_FORMS[kind]}, got {kind}:{place}")
        train, test = (_first(root, names) for names in PUBLISHED[kind])
        name = kind
    if not root.is_dir():
        raise InputError(f"there is no folder {root}; expected {_FORMS[kind]}")
    read = [
        None if path is None else Photos(root, *read_list(path), size=size, origin=str(path))
        for path in (train, test)
    ]
    notes = _about(*read)
    if renumbered:
        read = _renumbered(*read)
    assert read[0] is not None
    return ListedSource(name, read[0], read[1], notes)


def _renumbered(train: Photos | None, test: Photos | None) -> list[Photos | None]:
    assert train is not None
    highest = max(int(part.labels.max()) for part in (train, test) if part is not None)
    order = torch.tensor(published_order(train.counts(highest + 1)))
    numbers = torch.empty_like(order)
    numbers[order] = torch.arange(len(order))
    return [part and replace(part, labels=numbers[part.labels]) for part in (train, test)]


def _read_place(kind: str, place: str) -> tuple[list[str], int, bool]:
    parts = place.split(",")
    if renumbered := parts[-1] == SORTED:
        parts.pop()
    wanted = 3 if kind == LIST else 1
    size = str(SIDE)
    if len(parts) == wanted + 1:
        size = parts.pop()
    if len(parts) != wanted:
        raise InputError(f"expected {_FORMS[kind]}, got {kind}:{place}")
    if not size.isdecimal() or not _SMALLEST_SIDE <= int(size) <= _LARGEST_SIDE:
        raise InputError(
            f"expected {_FORMS[kind]} with SIZE from {_SMALLEST_SIDE} to {_LARGEST_SIDE} pixels, "
            f"got {size!r}"
        )
    return parts, int(size), renumbered


def _place(text: str, beside: Path | None) -> Path | None:
    if not text:
        return None
    path = Path(text).expanduser()
    if beside is not None and not path.exists() and (beside / path).exists():
        return beside / path
    return path


def _first(root: Path, names: tuple[str, ...]) -> Path:
    found = next((root / name for name in names if (root / name).is_file()), None)
    if found is None:
        raise InputError(
            f"{root} holds no {' and no '.join(names)}; expected the published list beside the "
            "images, or give your own as list:TRAIN.txt,TEST.txt,ROOT"
        )
    return found


def _about(train: Photos | None, test: Photos | None) -> tuple[str, ...]:
    assert train is not None
    counts = train.counts(0)
    empty = [c for c, n in enumerate(counts) if n == 0]
    notes = []
    if empty:
        first = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        notes.append(
            f"{train.origin} has gaps: {len(empty)} of the labels from 0 to {len(counts) - 1} have "
            f"no image ({first})"
        )
    if test is not None and (repeated := set(train.paths) & set(test.paths)):
        notes.append(
            f"{len(repeated)} images are in {test.origin} and in {train.origin}, such as "
            f"{min(repeated)}"
        )
    return tuple(notes)
