"""The look of every class and group: a class keeps its colour in every figure of a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from figures.style.colours import (
    BLACK,
    BLUE,
    GREEN,
    LINES,
    MARKERS,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILION,
    SeriesStyle,
)

if TYPE_CHECKING:
    from spectra import Analysis

# Of Okabe & Ito (see colours): blue against vermilion is the pair that all eyes tell apart best.
GROUP_COLOURS = {
    **dict.fromkeys(("head", "many"), BLUE),
    **dict.fromkeys(("mid", "medium"), ORANGE),
    **dict.fromkeys(("tail", "few"), VERMILION),
    "overall": BLACK,
}
# On a dark page black cannot be seen, and blue hardly.
GROUP_COLOURS_ON_DARK = GROUP_COLOURS | {
    "head": SKY_BLUE, "many": SKY_BLUE, "overall": "#ffffff",
}  # fmt: skip
_GROUP_LINES = {
    **dict.fromkeys(("head", "many"), ("-", "o")),
    **dict.fromkeys(("mid", "medium"), ((0, (4, 1.5)), "s")),
    **dict.fromkeys(("tail", "few"), ((0, (6, 1.5, 1.2, 1.5)), "^")),
    "overall": ((0, (1.2, 1.2)), "D"),
}
_OWN_GROUPS = (GREEN, PURPLE, SKY_BLUE)
# Classes lie on matplotlib's plasma (Smith & van der Walt 2015): its lightness rises all the way,
# so its order is seen under every colour blindness, and in print without colour.
_RAMP = "plasma"
# Ours: the parts of the ramp that can be seen on a white page (beyond 0.8 it is yellow) and on a
# dark one (below 0.35 it is a dark blue).
_ON_WHITE, _ON_DARK = (0.0, 0.8), (0.35, 0.95)
# Ours: where nobody says how many classes there are. Digits and CIFAR-10 have ten.
_CLASSES = 10


def class_colours(
    labels: Sequence[str], class_counts: Sequence[int] = (), *, dark: bool = False
) -> dict[str, str]:
    """Return the colour of each class or group, as ``#rrggbb``.

    ``head``, ``mid``, ``tail`` and ``overall`` have colours of their own; ``many``, ``medium`` and
    ``few`` have those of the first three. A class's colour says
    where it stands among all classes of the network, drawn or not: dark blue has the most
    training images, orange the fewest. So a class has one colour in every figure, whatever is
    drawn beside it, and any number of classes has an order that can be seen.

    Args:
        labels: ``8`` or ``tail``, say; groups of other names get colours as they come.
        class_counts: training images of each class of the network, as
            ``analysis.checkpoint.class_counts`` has them. Classes of equal size, or of which
            nothing is known, stand in the order of their numbers; where nothing is known there
            are ten, or as many as the largest number says.
        dark: for a dark page.

    Example:
        >>> from figures import class_colours
        >>> class_colours(["head", "tail", "0", "9"])
        {'head': '#0072B2', 'tail': '#D55E00', '0': '#0d0887', '9': '#fca636'}
        >>> class_colours(["9"], [5000] * 9 + [50])
        {'9': '#fca636'}
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    ramp = colormaps[_RAMP]
    low, high = _ON_DARK if dark else _ON_WHITE
    fixed = GROUP_COLOURS_ON_DARK if dark else GROUP_COLOURS
    found = places(labels, class_counts)
    own = [label for label in labels if label not in fixed and label not in found]
    colours = {}
    for label in labels:
        if label in fixed:
            colours[label] = fixed[label]
        elif label in found:
            rank, last = found[label]
            colours[label] = to_hex(ramp(low + (high - low) * rank / last))
        else:
            colours[label] = _OWN_GROUPS[own.index(label) % len(_OWN_GROUPS)]
    return colours


def class_styles(labels: Sequence[str], class_counts: Sequence[int] = ()) -> dict[str, SeriesStyle]:
    """Return colour, line and marker of each class or group; see :func:`class_colours`.

    Lines and markers of classes follow their place as well, and repeat after 4 and 10.
    """
    found = places(labels, class_counts)
    styles = {}
    for k, (label, colour) in enumerate(class_colours(labels, class_counts).items()):
        rank = found[label][0] if label in found else k
        line, marker = LINES[rank % len(LINES)], MARKERS[rank % len(MARKERS)]
        styles[label] = SeriesStyle(colour, *_GROUP_LINES.get(label, (line, marker)))
    return styles


def counts_of(analyses: Iterable[Analysis]) -> tuple[int, ...]:
    """Return the training images of each class, of the first result that states them."""
    return next((a.checkpoint.class_counts for a in analyses if a.checkpoint.class_counts), ())


def places(labels: Sequence[str], class_counts: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Return of each label that is a class's number its rank, and the last rank there is.

    The class of most training images has rank 0; see :func:`class_colours`.
    """
    numbers = {x: int(x) for x in labels if x.isdecimal() and len(x) < 19}
    known = len(class_counts)
    total = max(known or _CLASSES, *(n + 1 for n in numbers.values()), 2)
    order = sorted(range(known), key=lambda c: (-class_counts[c], c))
    rank = {c: k for k, c in enumerate(order)}
    return {x: (rank.get(n, n), total - 1) for x, n in numbers.items()}
