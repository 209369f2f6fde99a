"""A study of the paper: what each network gave, and our numbers beside the published ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spectra.results.analysis import Analysis
from spectra.results.directions.theorem_result import DirectionReport, TheoremResult
from spectra.results.plain import to_plain
from spectra.results.protocol_rows import ProtocolRow

FORMAT = "spectra.reproduction"
SCHEMA = 1

RUN, NOT_RUN = "run", "not run"


@dataclass(frozen=True)
class AccuracyRun:
    """Test accuracies of one network after its last epoch, per cent; None where not measured.

    Attributes:
        row: what the network's seeds share.
        seed: of its training.
        overall: mean over the classes; ``head``, ``mid`` and ``tail`` over those of the group.
        head: the classes with the most training images.
        mid: those between.
        tail: those with the fewest.
        best_on_test: the largest ``overall`` of all epochs, which looks at the test images.
    """

    row: str
    seed: int
    overall: float | None
    head: float | None
    mid: float | None
    tail: float | None
    best_on_test: float | None


@dataclass(frozen=True)
class SpectraRun:
    """One loss of one network at one epoch, under one choice of images.

    Attributes:
        row: what the network's seeds share, and the class.
        seed: of its training.
        epoch: epochs of training done.
        found: the extremes.
    """

    row: str
    seed: int
    epoch: int | None
    found: ProtocolRow


@dataclass(frozen=True)
class TheoremRun:
    """SAM's amplification along the direction of least curvature of one class, for one ρ.

    Attributes:
        row: what the network's seeds share, the class and ρ.
        seed: of its training.
        lambda_min, grad_norm, critical_rho: see :class:`DirectionReport`.
        measured: E⟨g_SAM, v⟩² / E⟨g, v⟩² over mini-batches, and the ends of its interval.
        measured_lower, measured_upper: of the 95 % bootstrap.
        predicted: to first order in ρ.
        theorem: (1 + ρλmin)².
        undetermined: what is amplified is noise.
    """

    row: str
    seed: int
    lambda_min: float
    grad_norm: float
    critical_rho: float | None
    measured: float
    measured_lower: float
    measured_upper: float
    predicted: float
    theorem: float
    undetermined: bool


MeasuredRun = AccuracyRun | SpectraRun | TheoremRun


def theorem_runs(row: str, seed: int, classes: Sequence[DirectionReport]) -> list[TheoremRun]:
    """Return one run for each class and ρ; ``row`` names the network."""
    return [
        TheoremRun(
            row=f"{row} class {one.label} rho {batch.rho:g}",
            seed=seed,
            lambda_min=one.lambda_min,
            grad_norm=one.grad_norm,
            critical_rho=one.critical_rho,
            measured=batch.measured.estimate,
            measured_lower=batch.measured.lower,
            measured_upper=batch.measured.upper,
            predicted=batch.predicted.estimate,
            theorem=batch.theorem,
            undetermined=batch.undetermined,
        )
        for one in classes
        for batch in one.batches
    ]


@dataclass(frozen=True)
class ComparedValue:
    """Ours beside the published value of one quantity; None for what there is not.

    Attributes:
        ours: mean over the seeds.
        ours_sd: sample standard deviation over them.
        seeds: how many.
        published: value.
        published_sd: its standard deviation.
        difference: ours - published.
    """

    ours: float | None
    ours_sd: float | None
    seeds: int
    published: float | None
    published_sd: float | None
    difference: float | None


@dataclass(frozen=True)
class ComparedRow:
    """One row of the comparison.

    Attributes:
        row: recipe, and what else tells it from the others.
        protocol: choice of images; None for accuracies.
        state: ``run``, or ``not run``.
        values: by quantity.
    """

    row: str
    protocol: str | None
    state: str
    values: Mapping[str, ComparedValue]


@dataclass(frozen=True)
class ReproductionResult:
    """What a study of the paper gave.

    Attributes:
        study: its name.
        size: ``smoke``, ``cpu`` or ``full``.
        data: name of the data.
        title: what it reproduces.
        note: what one should know before comparing; None: nothing.
        source: of the published numbers.
        versions: of the libraries that computed ours.
        rows: ours beside the published.
        runs: each network's numbers.
        analyses: by run and protocol, over the epochs analyzed; of spectra alone, like what
            follows not part of the file.
        theorems: by run.
        density_classes: records whose densities are to be drawn.
        over_training: whether all kept epochs were analyzed, not the last alone.
        switch_epoch: from which re-weighting set in; None: it did not, or not in all alike.
    """

    study: str
    size: str
    data: str
    title: str
    note: str | None
    source: str
    versions: Mapping[str, str]
    rows: tuple[ComparedRow, ...]
    runs: tuple[MeasuredRun, ...]
    analyses: Mapping[str, Mapping[str, Sequence[Analysis]]] = field(default_factory=dict)
    theorems: Mapping[str, TheoremResult] = field(default_factory=dict)
    density_classes: tuple[str, ...] = ()
    over_training: bool = False
    switch_epoch: int | None = None


def reproduction_to_plain(result: ReproductionResult) -> dict[str, Any]:
    """Return the content of ``result.json``, documented in docs/file-formats.md."""
    named = ("study", "size", "data", "title", "note", "source", "versions", "rows")
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        **{name: to_plain(getattr(result, name)) for name in named},
        "runs": [run_to_plain(run) for run in result.runs],
    }


def run_to_plain(run: MeasuredRun) -> dict[str, Any]:
    """Return a run as a flat row."""
    plain: dict[str, Any] = to_plain(run)
    found = plain.pop("found", {})
    return {**plain, **found}
