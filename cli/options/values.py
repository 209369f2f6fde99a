"""What the text of an option means: folders, sizes of memory, devices."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from cli.display.lines import note
from spectra.errors import InputError
from spectra.system.files.places import refuse_elsewhere, writing_under


class Folder(click.Path):
    """A folder's path; empty text, which would mean the working directory, is refused."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not str(value).strip():
            self.fail("expected a folder, got nothing; '.' is the working directory", param, ctx)
        return super().convert(value, param, ctx)


def one_of(names: Callable[[], Iterable[str]]) -> Callable[..., str]:
    """Return a callback that takes one of some names, found when they are needed, not for help."""

    def checked(ctx: click.Context, param: click.Parameter, value: str) -> str:
        return str(click.Choice(list(names())).convert(value, param, ctx))

    return checked


def parse_memory(text: str) -> int:
    """Return bytes for ``4GiB``, ``500MB``, ``2147483648``.

    Raises:
        InputError: not a size.
    """
    units = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
    number, factor = text.strip().lower(), 1
    for unit, size in units.items():
        if number.endswith(unit):
            number, factor = number.removesuffix(unit), size
            break
    try:
        value = float(number) * factor
    except ValueError:
        value = -1.0
    if not 0 <= value < 2**63:
        raise InputError(f"memory must read like 4GiB or 500MB, got {text!r}")
    return int(value)


def parse_radii(text: str) -> tuple[float, ...]:
    """Return the radii of ``0.05,0.5``.

    Raises:
        InputError: they are no numbers.
    """
    try:
        return tuple(float(part) for part in text.split(",") if part)
    except ValueError as error:
        raise InputError(f"--rho must read like 0.05,0.5, got {text!r}") from error


def parse_counts(text: str, *, flag: str) -> tuple[int, ...]:
    """Return the whole numbers of ``0,1,2``, in their order.

    Raises:
        InputError: there are none, or one is no whole number from 0 on.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and len(part) < 19 for part in parts):
        raise InputError(f"{flag} must read like 0,1,2, got {text!r}")
    return tuple(map(int, parts))


def hold(folder: Path, *files: str) -> Path:
    """Return ``folder``, :func:`writable`, and held until the command ends.

    Raises:
        InputError: it cannot be written to, or another process works on it.
    """
    from spectra.system.files.lock import locked

    click.get_current_context().with_resource(locked(writable(folder, *files)))
    return folder


def writable(folder: Path, *files: str) -> Path:
    """Return ``folder``, having written to it, or to where it will be made, before any work.

    Until the command ends nothing is written elsewhere, see :func:`writing_under`.

    Args:
        folder: for results.
        files: that the command is sure to write there.

    Raises:
        InputError: that failed, or a folder lies where a file is to be written.
    """
    try:
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write to {folder} ({reason}); choose another -o") from error
    click.get_current_context().with_resource(writing_under(folder))
    for name in files:
        refuse_elsewhere(folder / name)
    return folder


def pick_device(text: str) -> str:
    """Return the torch device that ``text`` means, and make a card the current one.

    ``cuda`` is the current card: of several processes, each one's own. So is ``auto`` where torch
    sees one, which is said on standard error; else it is the CPU. What other libraries send to the
    current card then goes there too.

    Raises:
        InputError: there is no such device here, or several processes are to share a card.
    """
    import torch

    from spectra.objective.placement import indexed
    from spectra.system.cards import card
    from spectra.system.ranks import world_here

    if text.startswith("cuda:") and (size := world_here().size) > 1:
        raise InputError(
            f"--device {text} puts {size} processes on one card; leave it out, and each takes its "
            "own"
        )
    if text == "auto" and not torch.cuda.is_available():
        return "cpu"
    kind = text.partition(":")[0]
    if kind not in ("cpu", "cuda") and text != "auto":
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {text!r}")
    chosen = indexed("cuda" if text == "auto" else text)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if text == "auto":
        note(f"computing on {card(chosen).describe()}")
    return str(chosen)
