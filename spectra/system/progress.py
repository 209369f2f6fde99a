"""How far work has come: one kind of callback for steps, classes, epochs and studies."""

from collections.abc import Callable

# Called with (what is worked on, done, planned): ("class 8", 12, 80). What has no name is "";
# planned is 0 where nobody knows.
Progress = Callable[[str, int, int], None]


def within(on_progress: Progress | None, name: str) -> Progress | None:
    """Return a callback that says ``name`` before what is worked on; None for None."""
    if on_progress is None:
        return None

    def named(what: str, done: int, planned: int) -> None:
        on_progress(f"{name} {what}".rstrip(), done, planned)

    return named


def counted(
    on_progress: Progress | None, planned: int, *, before: int = 0
) -> Callable[[int], None] | None:
    """Return a callback for steps alone, which reports ("", ``before`` + steps, ``planned``)."""
    if on_progress is None:
        return None
    return lambda steps: on_progress("", before + steps, planned)
