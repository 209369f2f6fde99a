"""Stored runs of the published recurrence, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from wording import NONE, percent

from spectra.results.protocols.recurrences_result import (
    RecurrenceRun,
    RecurrencesResult,
    load_recurrences,
)


@dataclass(frozen=True)
class RecurrenceRuns:
    """Every stored run of the published recurrence.

    Attributes:
        by_name: results by their names.
    """

    by_name: dict[str, RecurrencesResult]

    def has(self, *names: str) -> bool:
        """Return whether all of them are stored."""
        return all(name in self.by_name for name in names)

    def run(self, name: str, arithmetic: str = "published") -> RecurrenceRun | None:
        """Return the run in an arithmetic; None: it is not stored."""
        runs = self.by_name[name].runs if name in self.by_name else ()
        return next((run for run in runs if run.arithmetic == arithmetic), None)

    def ratio(
        self,
        name: str,
        variant: str = "before",
        arithmetic: str = "published",
        steps: int | None = None,
    ) -> float | None:
        """Return |λmin/λmax| of a variant after some steps; None: the run is not stored."""
        run = self.run(name, arithmetic)
        return None if run is None else run.ends(variant, steps).ratio

    def share(self, name: str) -> str:
        """Return the median part of β² that came back along the vector before, per cent."""
        run = self.run(name)
        return NONE if run is None else percent(run.returned_share, 1)

    def mean_beta(self, name: str, variant: str) -> float:
        """Return the mean β of a variant's T.

        Raises:
            KeyError: the run is not stored.
        """
        run = self.run(name)
        if run is None:
            raise KeyError(name)
        return float(np.mean(run.recurrence.tridiagonal(variant, None).betas))


def recurrence_runs(folder: Path) -> RecurrenceRuns:
    """Return all runs that lie in a folder.

    Args:
        folder: of files, or of folders with a ``recurrences.json`` each.
    """
    found = sorted(folder.glob("**/*.json"))
    return RecurrenceRuns(
        {
            path.parent.name if path.stem == "recurrences" else path.stem: load_recurrences(path)
            for path in found
        }
    )
