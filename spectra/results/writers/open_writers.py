"""Writers by their names on a command line: ``tensorboard:DIR``, ``wandb:PROJECT``."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spectra.errors import InputError
from spectra.results.writers.interface import EpochWriter
from spectra.results.writers.to_tensorboard import TensorBoardWriter
from spectra.results.writers.to_wandb import WandbWriter
from spectra.results.writers.values import EpochValues
from spectra.system.files.names import file_name


def _tensorboard(place: str, run: str, config: Mapping[str, Any]) -> EpochWriter:
    return TensorBoardWriter(Path(place) / file_name(run))


def _wandb(place: str, run: str, config: Mapping[str, Any]) -> EpochWriter:
    return WandbWriter(place, name=run, config=config)


_OPENED: dict[str, Callable[[str, str, Mapping[str, Any]], EpochWriter]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
}


def check_places(places: Sequence[str]) -> None:
    """Raise InputError where one is no ``tensorboard:DIR`` and no ``wandb:PROJECT``."""
    for place in places:
        kind, _, where = place.partition(":")
        if kind not in _OPENED or not where.strip():
            raise InputError(
                f"results are logged to tensorboard:DIR or wandb:PROJECT, got {place!r}"
            )


class _ToAll(EpochWriter):
    """Writes to several places."""

    def __init__(self, writers: Sequence[EpochWriter]) -> None:
        self._writers = writers

    def write_values(self, values: EpochValues) -> None:
        for writer in self._writers:
            writer.write_values(values)

    def close(self) -> None:
        """Leave them to whoever opened them."""


@contextlib.contextmanager
def writing_to(
    places: Sequence[str], run: str, config: Mapping[str, Any] | None = None
) -> Iterator[EpochWriter]:
    """Open what writes to every place, none perhaps; it is closed at the end.

    Args:
        places: ``tensorboard:DIR``: event files in ``DIR/RUN``; ``wandb:PROJECT``: a run of W&B.
        run: what the run is called.
        config: what W&B is to know of it.

    Raises:
        InputError: a place reads otherwise, or what it needs is not installed.
    """
    check_places(places)
    with contextlib.ExitStack() as stack:
        opened = []
        for kind, _, where in (place.partition(":") for place in places):
            opened.append(stack.enter_context(_OPENED[kind](where, run, config or {})))
        yield _ToAll(opened)
