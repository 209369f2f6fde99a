"""What a command that was stopped has kept, and the command line that goes on from there."""

import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from spectra.system.foreign_text import printable


class Kept(NamedTuple):
    """What a command leaves to go on from.

    Attributes:
        what: is kept, as the begin of a sentence.
        adds: options with which the command goes on, where it does not without.
    """

    what: str
    adds: tuple[str, ...] = ()


_FINISHED = Kept("what was finished is kept")
# Of commands that take longer than a moment, by name; those below a group by both names.
KEPT: Mapping[str, Kept | None] = {
    "train": Kept("finished epochs are kept", ("--resume",)),
    **dict.fromkeys(
        ("analyze", "trajectory", "reproduce", "pipeline", "claim ghorbani2019"), _FINISHED
    ),
    "data fetch": Kept("what came of a download is kept"),
    "bench": Kept("what a suite or a --reference-file holds is kept"),
    **dict.fromkeys(
        ("images", "sam", "theorem", "recurrences", "claim alain2019", "claim papyan2020")
    ),
}


def goes_on(arguments: Sequence[str], command: str | None) -> str:
    """Return what is kept, and the command line that goes on; empty where there is nothing to say.

    Args:
        arguments: all that stood after ``spectra``.
        command: which of them is the command's name; None: none was reached.

    Example:
        >>> from cli.options.going_on import goes_on
        >>> goes_on(["train", "ce", "-o", "my runs"], "train")
        "finished epochs are kept; go on with: spectra train ce -o 'my runs' --resume"
        >>> goes_on(["sam", "runs/mine"], "sam")
        'nothing is kept; begin again with: spectra sam runs/mine'
    """
    if command is None or command not in arguments:
        return ""
    after = arguments[list(arguments).index(command) + 1 :]
    name = f"{command} {after[0]}" if after and f"{command} {after[0]}" in KEPT else command
    if name not in KEPT:
        return ""
    kept = KEPT[name]
    adds = () if kept is None else tuple(text for text in kept.adds if text not in arguments)
    line = printable(shlex.join(["spectra", *arguments, *adds]))
    if kept is None:
        return f"nothing is kept; begin again with: {line}"
    return f"{kept.what}; go on with: {line}"
