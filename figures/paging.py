"""Which panels stand on which page, in which line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from figures.style.class_colours import places
from figures.style.sheet import PANELS, Sheet

_T = TypeVar("_T")
# A panel: the name of its result, and the label of its record.
Cell = tuple[str, str]


def parts(items: Sequence[_T], most: int) -> list[tuple[_T, ...]]:
    """Return what goes onto each page, in its order, ``most`` on each at most."""
    return [tuple(items[k : k + most]) for k in range(0, len(items), most)]


def pages_of_one(
    name: str, labels: Sequence[str], counts: Sequence[int], sheet: Sheet
) -> list[list[list[Cell]]]:
    """Return, for each page, its lines of panels of one result: head against tail if many.

    Args:
        name: of the result.
        labels: of its records.
        counts: training images of each class; see :func:`figures.class_colours`.
        sheet: that they are drawn on.
    """
    return [
        [[(name, label) for label in line] for line in lines]
        for lines in _labels_of_pages(labels, counts, sheet)
    ]


def _labels_of_pages(
    labels: Sequence[str], counts: Sequence[int], sheet: Sheet
) -> list[list[Sequence[str]]]:
    ranks = places(labels, counts)
    classes = sorted((x for x in labels if x in ranks), key=lambda x: ranks[x])
    if len(labels) <= PANELS:
        return [_lines(labels, sheet)]
    groups = [x for x in labels if x not in ranks]
    pages = [_lines(groups[k : k + PANELS], sheet) for k in range(0, len(groups), PANELS)]
    if len(classes) > PANELS:
        half = PANELS // 2
        head, tail = classes[:half], classes[-half:]
        pages.append([head, tail] if half <= sheet.across else list(zip(head, tail, strict=True)))
        classes = classes[half:-half]
    return pages + [_lines(classes[k : k + PANELS], sheet) for k in range(0, len(classes), PANELS)]


def _lines(labels: Sequence[str], sheet: Sheet) -> list[Sequence[str]]:
    columns = sheet.columns(len(labels))
    return [labels[k : k + columns] for k in range(0, len(labels), columns)]


def pages_of_several(
    names: Sequence[str], labels: Sequence[str], sheet: Sheet
) -> list[list[list[Cell]]]:
    """Return, for each page, its lines of panels: a result's each, or a label's where too long.

    Args:
        names: of the results.
        labels: of their records.
        sheet: that they are drawn on.
    """
    pages = []
    for i in range(0, len(names), PANELS):
        some = names[i : i + PANELS]
        step = PANELS // len(some)
        for k in range(0, len(labels), step):
            lines = [[(name, label) for label in labels[k : k + step]] for name in some]
            if len(lines[0]) > sheet.across:
                lines = [list(column) for column in zip(*lines, strict=True)]
            pages.append(lines)
    return pages
