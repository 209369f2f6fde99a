"""The memory that an analysis was forecast to take, and what it took."""

import time
from dataclasses import dataclass
from pathlib import Path

from cli.bench.large.networks import Subject
from spectra.classes.each_loss import PreparedLoss, analyze_each
from spectra.engines.forecasts.needed import usual_peak
from spectra.engines.memory import planned_memory
from spectra.engines.settings import SolverSettings
from spectra.findings.loss_analysis import LossAnalysis
from spectra.objective.per_sample import CrossEntropy
from spectra.operators.hessian import HessianOperator
from spectra.system.progress import Progress

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Taken:
    """What one analysis took. Bytes are of this process, libraries and network included.

    Attributes:
        parameters: P.
        products: how they were made.
        basis: where Lanczos kept its vectors.
        vectors: those that fitted, or were wanted.
        forecast: the most that was forecast to be taken, before the analysis.
        building: the most that was taken until the matrix was built and checked.
        analysis: the most that was taken after that.
        build_seconds: of building and checking.
        seconds: of the analysis.
        found: its result.
    """

    parameters: int
    products: str
    basis: str
    vectors: int
    forecast: int
    building: int
    analysis: int
    build_seconds: float
    seconds: float
    found: LossAnalysis

    @property
    def taken(self) -> int:
        """The most that was taken at all."""
        return max(self.building, self.analysis)


def measure_memory(
    subject: Subject,
    settings: SolverSettings,
    *,
    memory: int,
    parameters: str | None = None,
    micro_chunk: int | None = None,
    on_progress: Progress | None = None,
) -> Taken:
    """Analyze the mean loss of all samples, and say what that took. For Linux alone.

    Args:
        subject: network and samples.
        settings: of the solver.
        memory: bytes that may be held.
        parameters: names or globs, where the matrix is by some of the weights.
        micro_chunk: samples in one piece of work; None: by their size.
        on_progress: called with what runs, steps done, steps planned.
    """
    begun = time.perf_counter()
    op = HessianOperator(
        subject.network,
        subject.inputs,
        subject.labels,
        loss=CrossEntropy(),
        parameters=parameters,
        micro_chunk=micro_chunk,
        memory_budget=0,
        label="all",
    )
    built, building = time.perf_counter(), peak_bytes()
    plan = planned_memory(op, settings, limit=memory)
    needed = op.chunk_nbytes() * len(list(op.chunks()))
    said = usual_peak(op, settings, plan) + min(plan.kept, needed)
    _RESET.write_text("5", encoding="ascii")  # the most that was resident begins anew
    (found,) = analyze_each(
        {"all": tuple(range(int(subject.labels.max()) + 1))},
        lambda *_, **__: PreparedLoss(op),
        settings=settings,
        memory=memory,
        on_progress=on_progress,
    )
    return Taken(
        op.size,
        op.choice.label,
        plan.storage,
        plan.max_basis,
        said,
        building,
        peak_bytes(),
        built - begun,
        time.perf_counter() - built,
        found,
    )


def peak_bytes() -> int:
    """Return the most that was resident since the process began, or since that began anew."""
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{_STATUS} does not tell the most that was resident")
