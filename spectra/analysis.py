"""Everything about one loss from one Lanczos run and a few products more."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from spectra.engines import run_pyhessian, run_spectra
from spectra.engines.settings import EngineResult, SolverSettings
from spectra.errors import InputError, NonFiniteError
from spectra.hessian import HessianOperator
from spectra.slq import StepCallback
from spectra.spectrum import Spectrum
from spectra.verdict import RADIUS, TAU, Verdict, decide

ENGINES: dict[str, Callable[..., EngineResult]] = {
    "spectra": run_spectra,
    "pyhessian": run_pyhessian,
}


@dataclass(frozen=True)
class LossAnalysis:
    """Spectrum, extremes, gradient and verdict of one loss (a class's, a group's, the whole).

    Eigenvalues are in loss / parameter², gradients in loss / parameter; all are multiplied by
    ``factor``.

    Attributes:
        label: ``8``, ``head``, ``overall`` ...
        classes: the labels of the images.
        n: number of images.
        factor: 1 for the mean over the images; the share of the training objective for a
            contribution.
        loss: mean loss, times ``factor``.
        fit_accuracy: fraction of these same images that the network gets right.
        lambda_min: Rayleigh quotient at the lower end.
        lambda_max: likewise at the upper end.
        residual_min: ‖Hy - λmin y‖ of a fresh product.
        residual_max: likewise for λmax.
        converged: both ends met their tolerance.
        steps: Lanczos steps of the run that the extremes come from.
        grad_norm: ‖g‖.
        grad_along_vmin: |⟨g, v_min⟩| / ‖g‖, between 0 and 1.
        spectrum: raw quadrature.
        verdict: what the point is, and why.
        accuracy: fraction right on test images of the same classes, where there are any.
    """

    label: str
    classes: tuple[int, ...]
    n: int
    factor: float
    loss: float
    fit_accuracy: float
    lambda_min: float
    lambda_max: float
    residual_min: float
    residual_max: float
    converged: bool
    steps: int
    grad_norm: float
    grad_along_vmin: float
    spectrum: Spectrum
    verdict: Verdict
    accuracy: float | None = None

    @property
    def ratio(self) -> float | None:
        """|λmin / λmax|; None for a zero Hessian."""
        return abs(self.lambda_min / self.lambda_max) if self.lambda_max else None


def analyze_loss(
    op: HessianOperator,
    *,
    label: str,
    classes: tuple[int, ...],
    settings: SolverSettings,
    factor: float = 1.0,
    radius: float = RADIUS,
    tau: float = TAU,
    on_step: StepCallback | None = None,
) -> LossAnalysis:
    """Analyze the loss that ``op`` is the Hessian of.

    Cost: num_probes · num_steps products, those that the extremes need beyond num_steps, two
    products to check them, and one gradient.

    Args:
        op: operator over the frozen images.
        label: names the loss; the random streams depend on it and on ``settings.seed`` alone.
        classes: the labels of the images.
        settings: engine, probes, steps, tolerances, seed.
        factor: multiplies the loss, see :class:`LossAnalysis`; > 0.
        radius: r of the verdict, parameter units.
        tau: relative tolerance of the verdict.
        on_step: called with (steps done, steps planned).

    Raises:
        InputError: the engine is unknown or a number out of range.
        NonFiniteError: a product held NaN or infinity; the message names class, probe and step.
    """
    if settings.engine not in ENGINES:
        raise InputError(
            f"unknown engine {settings.engine!r}; expected one of {', '.join(ENGINES)}"
        )
    if not (factor > 0 and math.isfinite(factor)):
        raise InputError(f"factor must be positive and finite, got {factor}")
    try:
        result = ENGINES[settings.engine](op, label=label, settings=settings, on_step=on_step)
    except NonFiniteError as error:
        raise NonFiniteError(f"class {label}: {error}") from error
    gradient = op.gradient()
    grad_norm = float(gradient.norm())
    small, large = result.extremes.smallest, result.extremes.largest
    converged = small.converged and large.converged
    verdict = decide(
        lambda_min=small.value,
        lambda_max=large.value,
        grad_norm=grad_norm,
        converged=converged,
        largest_converged=large.converged,
        radius=radius,
        tau=tau,
    )
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
        grad_along_vmin=abs(float(gradient @ small.vector)) / grad_norm if grad_norm else 0.0,
        spectrum=result.spectrum if factor == 1.0 else result.spectrum.scaled(factor),
        verdict=verdict,
    )
