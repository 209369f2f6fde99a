"""Where jobs wait and run, whichever launcher it is."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from spectra.errors import InputError


class JobQueue(Protocol):
    """Takes jobs and knows which of them still wait or run.

    Attributes:
        name: of the launcher.
        at_once: how many jobs it takes before others have ended; None: all.
        look: seconds between two questions for what still runs.
        patience: seconds that what a job has written may take to be seen here after its end.
    """

    name: str
    at_once: int | None
    look: float
    patience: float

    def submit(self, tasks: Sequence[Callable[[], None]]) -> list[str]:
        """Hand out ``tasks``, each a job; return the numbers of the jobs.

        Raises:
            InputError: the queue takes no jobs, and why.
        """
        ...

    def alive(self, jobs: Collection[str]) -> set[str]:
        """Return which of ``jobs`` wait or run.

        Raises:
            InputError: the queue does not answer.
        """
        ...

    def log(self, job: str) -> Path:
        """Return the file of what a job says."""
        ...

    def state(self, job: str) -> str:
        """Return how a job ended that left no word: ``OUT_OF_MEMORY``; empty: nobody knows."""
        ...

    def leave(self, jobs: Collection[str]) -> str:
        """Return what is to be said of jobs that nobody waits for any more, or end them."""
        ...

    def close(self) -> None:
        """Let go of what belongs to this process."""
        ...


def imported_submitit() -> Any:
    """Return submitit.

    Raises:
        InputError: it is not installed.
    """
    try:
        import submitit
    except ImportError as error:
        raise InputError(
            "a launcher needs submitit: pip install hessian-spectra[cluster]"
        ) from error
    return submitit
