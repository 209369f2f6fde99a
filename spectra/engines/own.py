"""Our engine: one run serves density and extremes; without a density, active images do."""

from dataclasses import replace

import torch

from spectra.active.density_by_active_images import density_by_active_images
from spectra.active.extremes_by_active_images import extremes_by_active_images
from spectra.engines.result import EngineResult
from spectra.engines.settings import SolverSettings
from spectra.findings.certificates import (
    ACTIVE_IMAGES,
    HALF_BASIS,
    RADEMACHER_PROBE,
    WARM_START,
)
from spectra.krylov.extremes import Extremes, extremes_of_run, proven_extremes
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.outer_bounds import LEAST_SIZE, OuterBounds, outer_bounds, rounding_seen
from spectra.krylov.probes import draw_probe, naming_probe, probe_runs
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.stopping.start import draw_start
from spectra.krylov.tolerance import product_rounding
from spectra.krylov.tridiagonal import Tridiagonal
from spectra.operators.chunked import ChunkedOperator
from spectra.system.progress import Progress
from spectra.system.seeding import make_generator

# Ours: a run that is to bound λmin from below goes on until the bound is this close to it, relative
# to the larger of |λmin| and 1e-3 λmax, the verdicts' tolerance.
BOUND_TOLERANCE = 0.1
_BOUND_EVERY = 5
# Ours: vectors that a run on active images, the model that it leaves and some refinements hold.
LEAST_ACTIVE = 210


def run_spectra(
    op: ChunkedOperator,
    *,
    label: str,
    settings: SolverSettings,
    warm: Extremes | None = None,
    on_progress: Progress | None = None,
) -> EngineResult:
    """Find extremes, and the density where probes are asked for.

    With probes: each runs for ``num_steps`` steps; the first is carried on until the extremes
    converge, and a float64 pass then checks them. Probe k depends on (seed, label, k) alone.
    Without: :mod:`spectra.active.extremes_by_active_images`, from ``warm`` if there is one; where
    memory has room for few vectors, thick restarts over all images.

    Raises:
        NonFiniteError: a product held NaN or infinity; the message names probe and step.
    """
    if settings.extremes_only:
        return _extremes_alone(op, label, settings, warm, on_progress)
    if settings.density_images == "auto" and not settings.certify_below:
        spectrum, density = density_by_active_images(
            op,
            num_probes=settings.num_probes,
            num_steps=settings.num_steps,
            generator=make_generator(settings.seed, "active density", label),
            on_progress=on_progress,
        )
        alone = _extremes_alone(op, label, settings, warm, None)
        return replace(alone, spectrum=spectrum, density=density)
    probes = max(1, settings.num_probes)
    probe = "normal" if settings.certify_below else settings.probe
    steps = min(settings.num_steps, op.size)
    capacity = None if settings.max_basis is None else max(settings.max_basis, steps) + 1

    def begin(k: int) -> Lanczos:
        generator = make_generator(settings.seed, "probe", label, k)
        start = draw_probe(op.size, probe=probe, generator=generator)
        return Lanczos(op, start, basis=settings.storage, capacity=capacity)

    # Where memory holds the vectors of one run alone, the runs follow each other. So they do
    # without a basis: the pass that makes vectors repeats each product, to the last bit.
    together = op.vectors_a_pass > 1 and settings.max_basis is None and settings.storage != "none"
    runs = probe_runs(
        begin, num_probes=probes, num_steps=steps, together=together, on_progress=on_progress
    )
    quadratures: list[Tridiagonal] = []
    for k, run in enumerate(runs):
        quadratures.append(run.tridiagonal())
        if k == 0:
            with naming_probe(k):
                first = _carried_on(op, run, probe, settings, steps)
    return replace(first, spectrum=Spectrum(tuple(quadratures), op.size, probe))


def _extremes_alone(
    op: ChunkedOperator,
    label: str,
    settings: SolverSettings,
    warm: Extremes | None,
    on_progress: Progress | None,
) -> EngineResult:
    room = settings.max_basis
    if room is not None and room < LEAST_ACTIVE:
        return _extremes_in_few_vectors(op, label, settings, warm, on_progress)
    found = extremes_by_active_images(
        op,
        generator=make_generator(settings.seed, "extremes", label),
        warm=warm,
        tolerance=settings.tolerance,
        max_steps=settings.max_steps if room is None else min(settings.max_steps, room // 7),
        proof=settings.proof,
        on_progress=on_progress,
    )
    cause = grounds(found.steps, op.dtype, 1.0 if warm is None else 0.0)
    if found.outer_bounds is None:
        cause = WARM_START if found.images_used == "all" else ACTIVE_IMAGES
    return EngineResult(None, found, cause)


def _extremes_in_few_vectors(
    op: ChunkedOperator,
    label: str,
    settings: SolverSettings,
    warm: Extremes | None,
    on_progress: Progress | None,
) -> EngineResult:
    """Find the extremes over all images, holding no more vectors than memory has room for."""
    generator = make_generator(settings.seed, "extremes", label)
    known = () if warm is None else (warm.smallest.vector, warm.largest.vector)
    start = draw_start(op, generator, known)
    share = start.random_share
    run = Lanczos(op, start.vector, basis=settings.storage, capacity=settings.max_basis)
    del start
    found = _ends_of(run, settings, settings.max_steps, share, on_progress)
    if settings.proof:
        found = proven_extremes(op, found, settings.tolerance)
    outer, cause = _outer_bounds(run, "normal", found, share)
    found = replace(found, start="cold" if warm is None else "warm", outer_bounds=outer)
    return EngineResult(None, found, cause)


def _ends_of(
    run: Lanczos,
    settings: SolverSettings,
    max_steps: int,
    random_share: float = 1.0,
    on_progress: Progress | None = None,
) -> Extremes:
    """Carry ``run`` on until both ends have converged, and give its vectors back."""
    found = extremes_of_run(
        run,
        tolerance=settings.tolerance,
        max_steps=max_steps,
        max_basis=settings.max_basis,
        random_share=random_share,
        on_progress=on_progress,
    )
    if not found.restarts:
        run.give_basis()  # else a restart has taken it, and it is gone
    return found


def _carried_on(
    op: ChunkedOperator, run: Lanczos, probe: str, settings: SolverSettings, steps: int
) -> EngineResult:
    """Carry ``run`` on until the extremes converge, and to a bound from below if asked to."""
    if settings.certify_below:
        run.run_until(_BoundIsClose(run), min(settings.max_steps, op.size))
    found = _ends_of(run, settings, max(settings.max_steps, steps))
    if settings.proof:
        found = proven_extremes(op, found, settings.tolerance)
    outer, cause = _outer_bounds(run, probe, found)
    return EngineResult(None, replace(found, outer_bounds=outer), cause)


def _outer_bounds(
    run: Lanczos, probe: str, found: Extremes, random_share: float = 1.0
) -> tuple[OuterBounds | None, str]:
    """Return what bounds the spectrum from outside and on what grounds, or None and why not.

    Of a run whose space closed and that went on from a new direction, or whose basis was cut back,
    what it had done before bounds.
    """
    if probe != "normal":
        return None, RADEMACHER_PROBE
    if run.storage == "half":  # what it leaves of orthogonality is 1e-6 to 1e-4 of max|θ|
        return None, HALF_BASIS
    if random_share < 1 and run.op.size < LEAST_SIZE:
        return None, WARM_START
    steps = len(run.tridiagonal().first_block())
    bounds = _bounds_of(run, None if found.restarts else found, random_share)
    return bounds, grounds(steps, run.op.dtype, random_share)


def _bounds_of(
    run: Lanczos, found: Extremes | None = None, random_share: float = 1.0
) -> OuterBounds:
    first, eps = run.tridiagonal().first_block(), torch.finfo(run.op.dtype).eps
    rounding = product_rounding(run.op.size, eps)
    if found is not None and len(first) == len(run):
        ends = found.smallest.value, found.largest.value
        rounding = rounding_seen(first, ends, run.op.size, eps)
    return outer_bounds(first, run.op.size, rounding=rounding, random_share=random_share)


def grounds(steps: int, dtype: torch.dtype, random_share: float = 1.0) -> str:
    """Return what a bound from outside rests on."""
    precision = "" if dtype == torch.float64 else ", float32 products: estimated"
    start = "cold start" if random_share == 1 else "start random in part"
    return f"{start}, {steps} steps over all images{precision}"


class _BoundIsClose:
    """Whether a run bounds λmin from below closely, asked every fifth step from the tenth on.

    Args:
        run: that will be asked about.
    """

    def __init__(self, run: Lanczos) -> None:
        self._asked_at = len(run) - 1

    def __call__(self, run: Lanczos) -> bool:
        due = len(run) // _BOUND_EVERY > self._asked_at // _BOUND_EVERY
        self._asked_at = len(run)
        if len(run) < 10 or not due:
            return False
        values = run.tridiagonal().ritz_values()
        scale = max(abs(values[0]), 1e-3 * abs(values[-1]))
        return bool(values[0] - _bounds_of(run).below <= BOUND_TOLERANCE * scale)
