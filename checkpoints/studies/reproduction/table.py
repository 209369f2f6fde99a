"""Our numbers beside the published ones."""

import statistics
from collections.abc import Mapping, Sequence

from checkpoints.studies.reproduction.description import Published
from spectra.results.reproduction_result import (
    NOT_RUN,
    RUN,
    ComparedRow,
    ComparedValue,
    MeasuredRun,
    SpectraRun,
    run_to_plain,
)

# What tells runs from each other, and what is no number.
_NO_QUANTITY = ("row", "seed", "epoch", "class", "protocol", "verdict", "undetermined", "n")


def published_rows(published: Mapping[str, Published]) -> list[ComparedRow]:
    """Return the published rows, with ours *not run*."""
    return beside_published(published, [])


def beside_published(
    published: Mapping[str, Published], measured: Sequence[MeasuredRun]
) -> list[ComparedRow]:
    """Return a row for each published or measured name and protocol: ours, theirs, difference.

    Args:
        published: numbers by quantity, by the name of the row.
        measured: ours; of spectra, those of the last epoch count.
    """
    last = max((_epoch(run) for run in measured), default=0)
    ours: dict[tuple[str, str | None], list[MeasuredRun]] = {}
    for run in measured:
        if _epoch(run) in (0, last):
            protocol = run.found.protocol if isinstance(run, SpectraRun) else None
            ours.setdefault((run.row, protocol), []).append(run)
    rows = []
    for name in dict.fromkeys([*published, *(name for name, _ in ours)]):
        mine = {protocol: runs for (row, protocol), runs in ours.items() if row == name}
        rows += [
            ComparedRow(
                name, protocol, RUN if runs else NOT_RUN, _values(published.get(name, {}), runs)
            )
            for protocol, runs in (mine or {None: []}).items()
        ]
    return rows


def _epoch(run: MeasuredRun) -> int:
    return (run.epoch or 0) if isinstance(run, SpectraRun) else 0


def _values(published: Published, runs: Sequence[MeasuredRun]) -> dict[str, ComparedValue]:
    found = [_quantities(run) for run in runs]
    table = {}
    for key in dict.fromkeys([*published, *(k for one in found for k in one)]):
        theirs = published.get(key)
        value, sd = (*theirs, None)[:2] if isinstance(theirs, list) else (theirs, None)
        values = [number for one in found if (number := one.get(key)) is not None]
        mean = statistics.fmean(values) if values else None
        table[key] = ComparedValue(
            ours=mean,
            ours_sd=statistics.stdev(values) if len(values) > 1 else None,
            seeds=len(values),
            published=value,
            published_sd=sd,
            difference=None if mean is None or value is None else mean - value,
        )
    return table


def _quantities(run: MeasuredRun) -> dict[str, float | None]:
    return {key: value for key, value in run_to_plain(run).items() if key not in _NO_QUANTITY}
