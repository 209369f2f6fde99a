"""Our engine: one run serves density and extremes; without a density, active images do."""

from dataclasses import replace

import torch

from spectra.active.density import active_slq
from spectra.active.eigenpairs import solve_extremes
from spectra.engines.result import EngineResult
from spectra.engines.settings import SolverSettings
from spectra.errors import NonFiniteError
from spectra.findings.certificates import (
    ACTIVE_IMAGES,
    HALF_BASIS,
    RADEMACHER_PROBE,
    RESTARTED,
    WARM_START,
)
from spectra.krylov.extremes import Extremes, extreme_eigenpairs
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.lockstep import run_in_lockstep
from spectra.krylov.outer_bounds import TailBounds, bounds
from spectra.krylov.rayleigh import judge
from spectra.krylov.slq import draw_probe
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import Tridiagonal
from spectra.operators.hessian import HessianOperator
from spectra.system.progress import Progress
from spectra.system.seeding import make_generator

# Ours: a run that is to bound λmin from below goes on until the bound is this close to it, relative
# to the larger of |λmin| and 1e-3 λmax, the verdicts' tolerance.
BOUND_TOLERANCE = 0.1
_BOUND_EVERY = 5


def run_spectra(
    op: HessianOperator,
    *,
    label: str,
    settings: SolverSettings,
    warm: Extremes | None = None,
    on_progress: Progress | None = None,
) -> EngineResult:
    """Find extremes, and the density where probes are asked for.

    With probes: each runs for ``num_steps`` steps; the first is carried on until the extremes
    converge, and a float64 pass then judges them. Probe k depends on (seed, label, k) alone.
    Without: :func:`spectra.active.eigenpairs.solve_extremes`, from ``warm`` if there is one.

    Raises:
        NonFiniteError: a product held NaN or infinity; the message names probe and step.
    """
    if settings.extremes_only:
        return _extremes_alone(op, label, settings, warm, on_progress)
    if settings.density_images == "auto" and not settings.certify_below:
        spectrum, density = active_slq(
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
    planned = steps * probes
    capacity = None if settings.max_basis is None else max(settings.max_basis, steps) + 1
    quadratures: list[Tridiagonal] = []

    def begun(k: int) -> Lanczos:
        generator = make_generator(settings.seed, "probe", label, k)
        start = draw_probe(op.size, probe=probe, generator=generator)
        return Lanczos(op, start, basis=settings.basis, capacity=capacity)

    # Where memory holds the vectors of one run alone, the runs follow each other. So they do
    # without a basis: the pass that makes vectors repeats each product, to the last bit.
    together: list[Lanczos] = []
    if op.vectors_a_pass > 1 and settings.max_basis is None and settings.basis != "none":
        together = [begun(k) for k in range(probes)]
        run_in_lockstep(together, steps, on_progress)
    for k in range(probes):
        run = together[k] if together else begun(k)
        try:
            while len(run) < steps and run.step():
                if on_progress:
                    on_progress("", k * steps + len(run), planned)
            quadratures.append(run.tridiagonal())
            if k == 0:
                if settings.certify_below:
                    _carry_on_to_bound(run, settings.max_steps)
                first = _judged_extremes(op, run, settings, steps)
                tail, cause = _tail(run, probe, first)
        except NonFiniteError as error:
            raise NonFiniteError(f"probe {k + 1}: {error}") from error
    spectrum = Spectrum(tuple(quadratures), op.size, probe)
    return replace(first, spectrum=spectrum, tail=tail, cause=cause)


def _extremes_alone(
    op: HessianOperator,
    label: str,
    settings: SolverSettings,
    warm: Extremes | None,
    on_progress: Progress | None,
) -> EngineResult:
    found = solve_extremes(
        op,
        generator=make_generator(settings.seed, "extremes", label),
        warm=warm,
        tol=settings.tolerance,
        floor=settings.floor,
        max_steps=settings.max_steps,
        proof=settings.proof,
        on_progress=on_progress,
    )
    cause = grounds(found.steps, op.dtype)
    if found.tail is None:
        cause = WARM_START if warm is not None else ACTIVE_IMAGES
    return EngineResult(None, found, found.scales, found.tail, cause)


def _judged_extremes(
    op: HessianOperator, run: Lanczos, settings: SolverSettings, steps: int
) -> EngineResult:
    """Carry ``run`` on until the extremes converge; judge them in float64 if asked to."""
    found = extreme_eigenpairs(
        op,
        tol=settings.tolerance,
        floor=settings.floor,
        max_steps=max(settings.max_steps, steps),
        run=run,
        max_basis=settings.max_basis,
    )
    if not settings.proof:
        return EngineResult(None, found)
    vectors = torch.stack([found.smallest.vector, found.largest.vector])
    judged = judge(op.in_float64(), vectors, tol=settings.tolerance, floor=settings.floor)
    low, high = (
        replace(pair, converged=before.converged)  # what Lanczos met; the judge adds no steps
        for pair, before in zip(judged.pairs, (found.smallest, found.largest), strict=True)
    )
    found = replace(found, smallest=low, largest=high, proven=judged.proven)
    return EngineResult(None, found, judged.scales)


def _tail(run: Lanczos, probe: str, result: EngineResult) -> tuple[TailBounds | None, str]:
    """Return what bounds the spectrum from outside and on what grounds, or None and why not."""
    if probe != "normal":
        return None, RADEMACHER_PROBE
    if result.extremes.restarts or 0.0 in run.tridiagonal().betas:
        return None, RESTARTED
    if run.storage == "half":  # what it leaves of orthogonality is 1e-6 to 1e-4 of max|θ|
        return None, HALF_BASIS
    return _bounds(run), grounds(len(run), run.op.dtype)


def _bounds(run: Lanczos) -> TailBounds:
    rounding = 10 * run.op.size**0.5 * torch.finfo(run.op.dtype).eps
    return bounds(run.tridiagonal(), run.op.size, rounding=float(rounding))


def grounds(steps: int, dtype: torch.dtype) -> str:
    """Return what a bound from outside rests on."""
    precision = "" if dtype == torch.float64 else ", float32 products: estimated"
    return f"cold start, {steps} steps over all images{precision}"


def _carry_on_to_bound(run: Lanczos, max_steps: int) -> None:
    """Step until the bound below is close to the smallest Ritz value, or ``max_steps``."""
    limit = min(max_steps, run.op.size)
    tested = len(run) - 1
    while len(run) < limit:
        if run.pending:  # to ask for it would make a card's queue wait
            run.step()
            continue
        if run.closed:
            return
        due = len(run) // _BOUND_EVERY > tested // _BOUND_EVERY
        tested = len(run)
        if len(run) >= 10 and due:
            values = run.tridiagonal().ritz_values()
            scale = max(abs(values[0]), 1e-3 * abs(values[-1]))
            if values[0] - _bounds(run).below <= BOUND_TOLERANCE * scale:
                return
        run.step()
