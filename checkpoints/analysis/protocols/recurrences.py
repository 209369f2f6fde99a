"""The published recurrence at a checkpoint: one set of draws and one start for every arithmetic."""

from collections.abc import Sequence
from dataclasses import replace

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.named_classes import chosen_losses
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import OBJECTIVE
from checkpoints.data import ImageData
from checkpoints.data.views import FRESH, ImageProtocol
from checkpoints.training.threads import suitable_threads
from spectra import FreshOperator, HessianOperator, PyHessianOperator, SymmetricOperator
from spectra.classes.each_loss import PreparedLoss
from spectra.engines.analyze_fresh import published_products
from spectra.engines.memory import within_limit
from spectra.engines.published_recurrence import ARITHMETICS, published_recurrence
from spectra.engines.pyhessian import its_seed, its_start
from spectra.errors import InputError
from spectra.operators.fresh import Draw
from spectra.results.directions.theorem_result import MeasuredAt
from spectra.results.protocols.recurrences_result import (
    ExactEnds,
    RecurrenceRun,
    RecurrencesProtocol,
    RecurrencesResult,
)
from spectra.system.exact import exact_products
from spectra.system.progress import Progress, within


def measure_recurrences(
    checkpoint: Checkpoint,
    data: ImageData,
    request: AnalysisRequest,
    *,
    arithmetics: Sequence[str] = ("published", "float64"),
    seeds: Sequence[int] = (0,),
    exact: bool = False,
    on_progress: Progress | None = None,
) -> RecurrencesResult:
    """Run PyHessian's recurrence, written out, over each loss that ``request`` names.

    Every arithmetic gets the same draws of the images and the same start, which are those of
    :func:`spectra.analyze_fresh` with engine pyhessian and this seed.

    Cost: ``num_steps`` products a loss, seed and arithmetic, and one stored vector each; for
    ``exact`` some hundred products in float64.

    Args:
        checkpoint: weights.
        data: images.
        request: which losses, of which images; its engine says whose products are taken, its
            ``num_steps`` how many.
        arithmetics: keys of :data:`spectra.engines.published_recurrence.ARITHMETICS`.
        seeds: of draws and start; they stand in for the request's.
        exact: find λmin and λmax of the matrix too, by SciPy in float64.
        on_progress: called with (``class 8 seed 0 float64`` say, steps done, steps planned).

    Raises:
        InputError: the request does not fit, an arithmetic is unknown, or there is no matrix.
        NonFiniteError: a product held NaN or infinity.

    Example:
        >>> from checkpoints import AnalysisRequest, load_checkpoint, load_data
        >>> from checkpoints.analysis.protocols.recurrences import measure_recurrences
        >>> from spectra import SolverSettings
        >>> request = AnalysisRequest(
        ...     classes="8", images="fresh", solver=SolverSettings(num_probes=1, num_steps=12)
        ... )
        >>> found = measure_recurrences(
        ...     load_checkpoint("bundled:digits/ce-drw"), load_data(), request
        ... )
        >>> before, after = (found.runs[1].ends(variant) for variant in ("before", "after"))
        >>> before.ratio > after.ratio
        True
    """
    _check(request, arithmetics, exact=exact)
    runs: list[RecurrenceRun] = []
    ends: list[ExactEnds] = []
    chosen = chosen_losses(request, checkpoint, data)
    planned = len(seeds) * len(chosen) * (len(arithmetics) + exact)
    for seed in seeds:
        asked = replace(request, solver=replace(request.solver, seed=seed))
        losses = Losses.of(checkpoint, data, asked)
        with suitable_threads(data):
            for label, classes in chosen.items():
                for name in arithmetics:
                    # Anew for each, so that the draws begin where they did.
                    prepared = losses.prepare(label, classes, check=not runs)
                    where = within(
                        on_progress,
                        f"class {label} seed {seed} {name}",
                        part=len(runs) + len(ends) + 1,
                        of=planned,
                    )
                    runs.append(_run(prepared, label, name, asked, where))
                if exact:
                    if on_progress is not None:
                        on_progress(f"class {label} exact", len(runs) + len(ends), planned)
                    op = losses.prepare(label, classes, check=False).op
                    ends.append(_exact(op, label, seed))
    return RecurrencesResult(
        MeasuredAt(checkpoint.name, checkpoint.epoch),
        RecurrencesProtocol(
            images=request.images,
            split=request.split,
            loss=request.loss,
            images_per_class=request.images_per_class,
            products=request.solver.engine,
            dtype=request.dtype,
            num_steps=request.solver.num_steps,
        ),
        tuple(runs),
        tuple(ends),
    )


def _check(request: AnalysisRequest, arithmetics: Sequence[str], *, exact: bool) -> None:
    unknown = [name for name in arithmetics if name not in ARITHMETICS]
    if unknown or not arithmetics:
        raise InputError(
            f"arithmetic must be one of {', '.join(ARITHMETICS)}, got {', '.join(unknown)!r}"
        )
    if exact and ImageProtocol.parse(request.images).kind == FRESH:
        raise InputError(
            "images fresh have no matrix, and so no exact eigenvalues; leave out --exact, or take "
            "--images plain or frozen:K"
        )
    if request.loss == OBJECTIVE or request.gauss_newton or request.reduction != "mean":
        raise InputError("the published protocol is of the Hessians of classes; take --loss ce")


def _run(
    prepared: PreparedLoss,
    label: str,
    name: str,
    request: AnalysisRequest,
    on_progress: Progress | None,
) -> RecurrenceRun:
    """Run one loss by one arithmetic."""
    solver = request.solver
    op, _ = within_limit(prepared.op, solver, limit=request.memory)
    assert isinstance(op, HessianOperator)
    loss = op.loss()
    with exact_products(op.device):
        found = published_recurrence(
            _products(op, prepared.draw, solver.engine),
            its_start(op, its_seed(solver.seed, label)),
            num_steps=min(solver.num_steps, op.size),
            arithmetic=ARITHMETICS[name],
            on_progress=on_progress,
        )
    op.forget()
    return RecurrenceRun(
        label=label,
        seed=solver.seed,
        arithmetic=name,
        n=op.num_images,
        size=op.size,
        loss=loss,
        alphas=tuple(found.alphas.tolist()),
        betas_before=tuple(found.betas_before.tolist()),
        betas_after=tuple(found.betas_after.tolist()),
        returned=tuple(found.returned.tolist()),
    )


def _products(op: HessianOperator, draw: Draw | None, engine: str) -> SymmetricOperator:
    if engine == "spectra":
        return op if draw is None else FreshOperator(op, draw)
    return PyHessianOperator(op) if draw is None else published_products(op, draw)


def _exact(op: HessianOperator, label: str, seed: int) -> ExactEnds:
    """Find both ends by SciPy, in float64."""
    from scipy.sparse.linalg import eigsh

    double = op.in_float64()
    matrix = double.to_scipy()
    # A start of its own makes two calls give the same bytes.
    start = its_start(op, its_seed(seed, label)).double().cpu().numpy()
    low, high = (
        float(eigsh(matrix, k=1, which=end, v0=start, return_eigenvectors=False)[0])
        for end in ("SA", "LA")
    )
    double.forget()
    return ExactEnds(label, seed, low, high, abs(low / high) if high else None)
