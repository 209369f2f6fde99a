"""Everything about one loss from one Lanczos run and a few products more."""

import math
import pkgutil
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from spectra.engines.certify import certificates_of
from spectra.engines.forecasts.planned_products import BOOTSTRAP_IMAGES
from spectra.engines.result import EngineResult
from spectra.engines.settings import ENGINES, SolverSettings
from spectra.errors import InputError, NonFiniteError
from spectra.findings.certificates import rounding_bound
from spectra.findings.confidence import ImageBootstrap, image_bootstrap
from spectra.findings.counted_eigenpairs import BothEnds, counted_eigenpairs
from spectra.findings.layers import LayerSpectrum, layer_spectra
from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.verdict import NOT_THE_HESSIAN, RADIUS, TAU, Verdict, decide
from spectra.krylov.extremes import Extremes
from spectra.landscape.measure_bending import measure_bending
from spectra.landscape.network_landscape import NetworkLandscape
from spectra.landscape.search import MAX_PRODUCTS, find_stationary_point
from spectra.landscape.stationary_point import StationaryPoint
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.hessian import HessianOperator
from spectra.operators.many_losses.exact_pass import ExactPass
from spectra.system.progress import Progress, within
from spectra.system.seeding import make_generator

# Ours: radii of the verdict that a search for a stationary point looks around.
SEARCHED = 5.0
GAUSS_NEWTON_REASON = (
    "the Gauss-Newton matrix leaves out how the network bends, and with it negative curvature"
)
GAUSS_NEWTON_NEXT = "The Hessian itself (without --gauss-newton) would say."


def analyze_loss(
    op: ChunkedOperator,
    *,
    label: str,
    classes: tuple[int, ...],
    settings: SolverSettings,
    factor: float = 1.0,
    radius: float = RADIUS,
    tau: float = TAU,
    warm: Extremes | None = None,
    independent: bool = True,
    on_progress: Progress | None = None,
) -> LossAnalysis:
    """Analyze the loss that ``op`` is the Hessian of, or the Gauss-Newton matrix.

    Of the Gauss-Newton matrix the verdict is :data:`spectra.findings.verdict.NOT_THE_HESSIAN`: it
    is positive semidefinite for cross-entropy and the like, wherever the point is.

    Cost: num_probes · num_steps products, those that the extremes need beyond num_steps, four to
    check them, two of them in float64, and one gradient; without probes, see
    :func:`spectra.extremes_by_active_images`. With ``settings.top`` that of
    :func:`spectra.counted_eigenpairs` besides; where it finds an eigenvalue further out than the
    run did, that is λmin or λmax. With ``settings.per_layer`` that of
    :func:`spectra.layer_spectra`. With ``settings.bending`` 7 to 16 products besides, most often
    some 9. With ``settings.stationary`` that of :func:`spectra.find_stationary_point`.

    Args:
        op: operator over the frozen images.
        label: names the loss; the random streams depend on it and on ``settings.seed`` alone.
        classes: the labels of the images.
        settings: engine, probes, steps, tolerances, seed.
        factor: multiplies the loss, see :class:`LossAnalysis`; > 0.
        radius: r of the verdict, parameter units.
        tau: relative tolerance of the verdict.
        warm: extremes of the same loss at a neighbouring checkpoint, to start from, on any device;
            without probes.
        independent: whether the images are draws of their own, as a bootstrap takes them to be;
            views of one image are not.
        on_progress: called with ("", steps done, steps planned).

    Raises:
        InputError: the engine is unknown or a number out of range.
        NonFiniteError: a product held NaN or infinity; the message names class, probe and step.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        >>> H = spectra.class_hessian(net, torch.randn(9, 4), [0, 1, 1] * 3, 1)
        >>> settings = spectra.SolverSettings(num_probes=1, num_steps=12)
        >>> found = spectra.analyze_loss(H, label=H.label, classes=(1,), settings=settings)
        >>> found.n, found.lambda_min <= found.lambda_max, found.verdict.name in spectra.VERDICTS
        (6, True, True)
    """
    if settings.engine not in ENGINES:
        raise InputError(
            f"unknown engine {settings.engine!r}; expected one of {', '.join(ENGINES)}"
        )
    if not (factor > 0 and math.isfinite(factor)):
        raise InputError(f"factor must be positive and finite, got {factor}")
    warm = None if warm is None else warm.to(op.device)
    try:
        run: Callable[..., EngineResult] = pkgutil.resolve_name(ENGINES[settings.engine])
        result = run(op, label=label, settings=settings, warm=warm, on_progress=on_progress)
        counted = None if not settings.top else _counted(op, label, settings, on_progress)
        layers = () if not settings.per_layer else _layers(op, settings, on_progress)
    except NonFiniteError as error:
        raise NonFiniteError(f"class {label}: {_without_numbers(op) or error}") from error
    if counted is not None:
        result = replace(result, extremes=_further_out(result.extremes, counted))
    exact = result.extremes.exact
    gradient, grad_error = _gradient(op, exact, proof=settings.proof)
    grad_norm = float(gradient.norm())
    small, large = result.extremes.smallest, result.extremes.largest
    converged = result.extremes.converged
    low, high = certificates_of(result, op.dtype)
    along = abs(float(gradient @ small.vector)) / grad_norm if grad_norm else 0.0
    verdict = Verdict(NOT_THE_HESSIAN, GAUSS_NEWTON_REASON, radius, tau, None, GAUSS_NEWTON_NEXT)
    bootstrap = bending = None
    judged = isinstance(op, HessianOperator)
    if judged:
        verdict = decide(
            lambda_min=small.value,
            lambda_max=large.value,
            grad_norm=grad_norm,
            converged=converged,
            largest_converged=large.converged,
            radius=radius,
            tau=tau,
            rounding=max(low.rounding, high.rounding),
            residual_max=large.residual_norm,
            lower_bound=low.beyond,
            upper_bound=high.beyond,
            in_float64=op.dtype == torch.float64,
        )
    small_class = 2 <= op.num_images <= BOOTSTRAP_IMAGES
    if isinstance(op, HessianOperator) and independent and settings.proof and small_class:
        ends = small.vector, large.vector
        bootstrap = _bootstrap(op, label, settings, ends, factor, exact)
    if isinstance(op, HessianOperator) and settings.bending:
        bending = measure_bending(
            op,
            small,
            gradient,
            radius=radius,
            highest=large,
            proof=settings.proof,
            on_progress=on_progress,
        ).scaled(factor)
    stationary = None
    if isinstance(op, HessianOperator) and settings.stationary:
        op.forget()  # or the work kept of w would lie beside that of other points
        stationary = _stationary(op, label, settings, radius, on_progress)
    spectrum = result.spectrum
    if spectrum is not None and factor != 1.0:
        spectrum = spectrum.scaled(factor)
    return LossAnalysis(
        label=label,
        classes=classes,
        n=op.num_images,
        factor=factor,
        loss=op.loss() * factor,
        fit_accuracy=op.accuracy(),
        lambda_min=small.value * factor,
        lambda_max=large.value * factor,
        residual_min=small.residual_norm * factor,
        residual_max=large.residual_norm * factor,
        converged=converged,
        steps=result.extremes.steps,
        grad_norm=grad_norm * factor,
        grad_norm_error=None if grad_error is None else grad_error * factor,
        grad_along_vmin=along if judged else None,
        spectrum=spectrum,
        verdict=verdict,
        certificates=(low.scaled(factor), high.scaled(factor)),
        products=op.choice.label,
        image_products=op.count.total,
        active_images=result.extremes.active_images or op.num_images,
        start=result.extremes.start,
        overlaps=_overlaps(result.extremes, warm),
        bootstrap=bootstrap,
        density=result.density,
        top=None if counted is None else BothEnds.of(counted, factor=factor),
        layers=tuple(layer.scaled(factor) for layer in layers),
        bending=bending,
        stationary=None if stationary is None else stationary.scaled(factor),
        extremes=result.extremes if counted is None else counted,
    )


def _without_numbers(op: ChunkedOperator) -> str:
    """Say how many images' losses hold NaN or infinity; nothing where none does."""
    with torch.no_grad():
        bad = sum(int((~torch.isfinite(op.chunk_losses(chunk))).sum()) for chunk in op.chunks())
    return f"the loss of {bad} of {op.num_images} images is NaN or infinite" if bad else ""


def _gradient(
    op: ChunkedOperator, known: ExactPass | None, *, proof: bool
) -> tuple[Tensor, float | None]:
    """Return the gradient and what rounding did to its length at most; None in float32."""
    if known is None:
        judge = op.in_float64() if proof else op
        gradient, scale = judge.scaled_gradient()
        if judge.dtype != torch.float64:
            return gradient, None
    else:
        gradient, scale = known.gradient, known.gradient_size
    return gradient, rounding_bound(scale, float(gradient.norm()))


def _counted(
    op: ChunkedOperator, label: str, settings: SolverSettings, on_progress: Progress | None
) -> Extremes:
    return counted_eigenpairs(
        op,
        min(settings.top, op.size),
        tol=settings.tolerance.tol,
        floor=settings.tolerance.floor,
        max_steps=settings.max_steps,
        generator=make_generator(settings.seed, "counted", label),
        basis=settings.storage,
        max_basis=settings.max_basis,
        proof=settings.proof,
        on_progress=on_progress,
    )


def _layers(
    op: ChunkedOperator, settings: SolverSettings, on_progress: Progress | None
) -> tuple[LayerSpectrum, ...]:
    return layer_spectra(
        op,
        tolerance=settings.tolerance,
        max_steps=settings.max_steps,
        max_basis=settings.max_basis,
        seed=settings.seed,
        proof=settings.proof,
        on_progress=on_progress,
    )


def _stationary(
    op: HessianOperator,
    label: str,
    settings: SolverSettings,
    radius: float,
    on_progress: Progress | None,
) -> StationaryPoint:
    asked = settings.search_radius
    return find_stationary_point(
        NetworkLandscape(op),
        search_radius=SEARCHED * radius if asked is None else asked,
        max_products=settings.search_products or MAX_PRODUCTS,
        seed=settings.seed,
        label=label,
        on_progress=within(on_progress, "stationary point"),
    )


def _further_out(found: Extremes, counted: Extremes) -> Extremes:
    """Return ``found``, an end of it that of ``counted`` where that lies further out."""
    low, high = found.smallest, found.largest
    if counted.smallest.value < low.value:
        low = counted.smallest
    if counted.largest.value > high.value:
        high = counted.largest
    return found.with_pairs((low, high))


def _overlaps(found: Extremes, warm: Extremes | None) -> tuple[float, float] | None:
    """Return |⟨v, v_before⟩| of both ends; None where the start was not warm."""
    if warm is None or found.start == "cold":
        return None
    return (
        abs(float(found.smallest.vector @ warm.smallest.vector)),
        abs(float(found.largest.vector @ warm.largest.vector)),
    )


def _bootstrap(
    op: HessianOperator,
    label: str,
    settings: SolverSettings,
    vectors: tuple[Tensor, Tensor],
    factor: float,
    known: ExactPass | None,
) -> ImageBootstrap | None:
    """Return what other images would give; None: a loss that is flat has no ratio to vary."""
    rows = torch.stack([vector.to(op.dtype) for vector in vectors])
    found = None if known is None else known.curvatures
    if found is None:
        found = op.curvatures(rows).double()
    if op.weight_decay:
        found = found + op.weight_decay * rows.double().square().sum(1, keepdim=True)
    low, high = found * factor
    generator = make_generator(settings.seed, "image bootstrap", label)
    if not high.any():
        return None
    return image_bootstrap(low, high, op.weights, generator=generator)
