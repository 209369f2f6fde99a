"""What a command along directions begins with: its checkpoint, the data, and a folder for files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cli.display.lines import note
from cli.options.values import hold
from spectra.system.files.names import file_name

if TYPE_CHECKING:
    from checkpoints import Checkpoint, ImageData, LoadOptions


class Opened(NamedTuple):
    """A checkpoint, the data that it is measured on, and where files go."""

    checkpoint: Checkpoint
    data: ImageData
    folder: Path


def open_for(
    command: str,
    checkpoint: str,
    loading: LoadOptions,
    source: str | None,
    normalisation: str | None,
    output: Path | None,
) -> Opened:
    """Open a checkpoint and its data, with notes on how well they fit.

    Args:
        command: names the folder where ``output`` is None: ``runs/COMMAND-NAME``.
        checkpoint: reference.
        loading: how to load it.
        source: of the data; None: as the checkpoint says.
        normalisation: that was asked for.
        output: where files go.

    Raises:
        InputError: one of them cannot be had.
    """
    from checkpoints import load_checkpoint
    from checkpoints.analysis.data_of import data_for, notes_of

    loaded = load_checkpoint(checkpoint, loading)
    place = output or Path("runs") / f"{command}-{file_name(loaded.name.replace('/', '-'))}"
    folder = hold(place, f"{command}.json")
    data, notes = data_for(loaded, source)
    for text in (*notes_of(loaded, data, normalisation), *notes):
        note(f"note: {text}")
    return Opened(loaded, data, folder)
