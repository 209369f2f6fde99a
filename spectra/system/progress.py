"""How far work has come: one kind of callback for steps, classes, epochs and studies."""

import re
from collections.abc import Callable

# Called with (what is worked on, done, planned): ("class 8", 12, 80). What has no name is "";
# planned is 0 where nobody knows. "class 8 (9 of 10)" names a part of a whole.
Progress = Callable[[str, int, int], None]

_PART = re.compile(r"\((\d{1,9}) of (\d{1,9})\)")


def within(
    on_progress: Progress | None, name: str, *, part: int = 1, of: int = 1
) -> Progress | None:
    """Return a callback that says ``name`` before what is worked on; None for None.

    Args:
        on_progress: is called.
        name: of what is worked on.
        part: which of the parts of the whole that is, from 1.
        of: how many there are; 1: no part is named.
    """
    if on_progress is None:
        return None
    told = f"{name} ({part} of {of})" if of > 1 else name

    def named(what: str, done: int, planned: int) -> None:
        on_progress(f"{told} {what}".rstrip(), done, planned)

    return named


def counted(
    on_progress: Progress | None, planned: int, *, before: int = 0
) -> Callable[[int], None] | None:
    """Return a callback for steps alone, which reports ("", ``before`` + steps, ``planned``).

    Where more steps are made than were planned, as corrections are after the last Lanczos step
    that was allowed, so many were.
    """
    if on_progress is None:
        return None
    return lambda steps: on_progress("", before + steps, max(planned, before + steps))


def same_whole(before: str, after: str) -> bool:
    """Return whether two of what was worked on, one after the other, are parts of one whole."""
    first, second = _PART.findall(before), _PART.findall(after)
    if not first or not second:
        return False
    (part, of), (next_part, next_of) = first[0], second[0]
    return bool(of == next_of and int(part) <= int(next_part))


def share_of_whole(what: str, done: int, planned: int) -> float:
    """Return how much of all work is done, from 0 to 1, by the parts that ``what`` names.

    Example:
        >>> from spectra.system.progress import share_of_whole
        >>> share_of_whole("epoch 100 (1 of 2) class 8 (9 of 10)", 40, 80)
        0.425
    """
    share = min(done / planned, 1.0) if planned > 0 else 0.0
    for part, of in reversed(_PART.findall(what)):
        if 0 < int(part) <= int(of):
            share = (int(part) - 1 + share) / int(of)
    return share


class _ImagesWorkedOn:
    """How many images this process has worked on; no result depends on it."""

    number = 0


def work_on_images(number: int) -> None:
    """Count images that were worked on: trained with, or multiplied by a vector each."""
    _ImagesWorkedOn.number += number


def images_worked_on() -> int:
    """Return how many images this process has worked on since it began."""
    return _ImagesWorkedOn.number
