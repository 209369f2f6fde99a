"""Short words for verdicts, as tables have them, each with the line that explains it."""

from collections.abc import Iterable
from typing import Final

from spectra.findings.verdict import (
    NEGATIVE,
    NOT_A_MATRIX,
    NOT_NEGATIVE,
    NOT_THE_HESSIAN,
    UNDECIDED,
)
from spectra.landscape import stationary_point as near
from spectra.results.groups.many import are_many

# Of a verdict: the word, and what it means.
_VERDICTS: Final = {
    NEGATIVE: ("negative", "the loss curves down along some direction (λmin < −τ λmax)"),
    NOT_NEGATIVE: ("none", "no negative curvature was found (nothing below −τ λmax)"),
    UNDECIDED: ("open", "undecided: the numbers allow either; what would settle it stands below"),
    NOT_A_MATRIX: ("fresh", "every product had new images, so there is no matrix to judge"),
    NOT_THE_HESSIAN: ("unasked", "the Gauss-Newton matrix has no negative curvature to find"),
}
# Of what a search for a stationary point near by has found.
_NEAR: Final = {
    near.SADDLE: ("saddle", "a saddle of this loss is near: the loss falls on both sides of it"),
    near.MINIMUM: ("minimum", "a minimum of this loss is near"),
    near.SLOPE: ("slope", "no stationary point is near: the loss goes on falling"),
    near.TAIL: ("tail", "no stationary point is near: the loss falls ever more slowly to 0"),
    near.UNDECIDED: ("open", "undecided: what would settle it stands below"),
}
_FEW = 3  # ours: of hundreds of classes, as many as show that numbers are meant
_EARLIER = "by the rule of an earlier version; docs/verdicts.md says what it meant"


def verdict_word(name: str) -> str:
    """Return the short word for a verdict; a name of an earlier version's rule is its own word."""
    return _VERDICTS[name][0] if name in _VERDICTS else name


def near_word(name: str) -> str:
    """Return the short word for what was found near by."""
    return _NEAR[name][0] if name in _NEAR else name


def verdict_legend(names: Iterable[str]) -> list[str]:
    """Return a line for each word that stands for one of ``names``: ``negative: the loss ...``."""
    return [_line(_VERDICTS.get(name, (name, _EARLIER))) for name in dict.fromkeys(names)]


def near_legend(names: Iterable[str]) -> list[str]:
    """Return a line for each word for what was found near by."""
    return [_line(_NEAR.get(name, (name, _EARLIER))) for name in dict.fromkeys(names)]


def labels_in_words(labels: Iterable[str], *, most: int = 12) -> str:
    """Return ``class 8``, ``classes 0 to 3, 9`` or ``head, tail``: whose a sentence is.

    Args:
        labels: of losses: numbers of classes, names of groups.
        most: items that are named; ours: two lines of a terminal. The others are counted. Of
            more than 200 losses three are named.
    """
    labels = list(labels)
    if are_many(labels):
        return f"{len(labels):,} classes, such as {', '.join(labels[:_FEW])}"
    numbers = [int(label) for label in labels if label.isdigit()]
    names = [label for label in labels if not label.isdigit()]
    items = [*_ranges(numbers), *names]
    more = f" and {len(items) - most} more" if len(items) > most else ""
    said = ", ".join(items[:most]) + more
    if not numbers:
        return said
    return f"class {said}" if len(labels) == 1 else f"classes {said}"


def _ranges(numbers: list[int]) -> list[str]:
    """Return ``0 to 3`` for three or more numbers that follow each other."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [
        text
        for run in runs
        for text in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))
    ]


def _line(pair: tuple[str, str]) -> str:
    return f"{pair[0]}: {pair[1]}"
