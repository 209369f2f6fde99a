"""Densities from the images of most curvature, with a bound on what leaving out the rest costs."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import chi2

from spectra.errors import InputError
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.probes import draw_probe, probe_runs
from spectra.krylov.spectrum import Spectrum
from spectra.operators.chunked import ChunkedOperator
from spectra.system.progress import Progress

# Ours: what is left out must not matter beside an outlier 1000 times as large as the mean |λ|.
KEPT_SHARE = 0.9995
# Ours: a selection larger than this saves less than its bound costs.
LARGEST_SELECTION = 0.6
# Ours: a shift of the eigenvalues by a tenth of their mean size is hardly seen in a density.
ALLOWED = 0.1
BOUND_PROBES = 5
FAILURE = 0.05
# Steps after which the mean |λ| is known well enough to decide whether the bound is small.
PILOT_STEPS = 15


@dataclass(frozen=True)
class DensityBound:
    """How far a density from some images can be from that of all.

    Attributes:
        distance: W1(μ_H, μ_A) is at most this, eigenvalue units, with probability 1 - ``failure``
            over the probes of the bound; 0 where all images were used.
        scale: tr|H_A| / P, the mean |λ|, as the quadrature has it.
        images: how many images the density is from.
        failure: see ``distance``.
    """

    distance: float
    scale: float
    images: int
    failure: float = FAILURE

    @property
    def relative(self) -> float:
        """``distance`` over ``scale``."""
        return self.distance / self.scale if self.scale else 0.0


def distance_bound(
    rest: ChunkedOperator,
    *,
    num_probes: int = BOUND_PROBES,
    failure: float = FAILURE,
    generator: torch.Generator,
) -> float:
    """Return D with W1(μ_H, μ_A) <= D with probability 1 - ``failure``, for H - H_A = ``rest``.

    By Hoffman & Wielandt, W1 <= W2 <= ‖H - H_A‖_F / √P. For Gaussian z, ‖(H - H_A) z‖² is a sum of
    ‖H - H_A‖_F² in parts, each times an independent χ²_1; it is least likely to be large where the
    matrix has rank one, which gives Σ_k ‖(H - H_A) z_k‖² >= ‖H - H_A‖_F² χ²_K(failure) with
    probability 1 - failure, whatever its spectrum.

    Cost: ``num_probes`` products with ``rest``.

    Args:
        rest: what was left out.
        num_probes: K.
        failure: probability, over the probes, that the bound does not hold.
        generator: of the probes.

    Source: Hoffman & Wielandt 1953; Bock, Diaconis, Huffer & Perlman 1987 for the worst case.
    """
    if num_probes < 1 or not 0 < failure < 1:
        raise InputError(f"num_probes and failure are out of range: {num_probes}, {failure}")
    probes = torch.randn((num_probes, rest.size), generator=generator, dtype=torch.float64)
    products = rest.matmat(probes.to(rest.device, rest.dtype)).double()
    square = float((products * products).sum()) / float(chi2.ppf(failure, num_probes))
    return float(np.sqrt(square / rest.size))


def density_by_active_images(
    op: ChunkedOperator,
    *,
    num_probes: int,
    num_steps: int,
    generator: torch.Generator,
    allowed: float = ALLOWED,
    on_progress: Progress | None = None,
) -> tuple[Spectrum, DensityBound]:
    """Estimate the density of ``op`` from as few images as a bound of ``allowed`` permits.

    The images of highest score that hold 99.95 % of Σ scores are tried; where they are too many, or
    the bound is larger than ``allowed`` · tr|H| / P after a few steps, all images are used.

    Cost: num_probes · num_steps products over the images used, and five over the others.

    Args:
        op: the Hessian.
        num_probes: random probes, uniform on the sphere.
        num_steps: Lanczos steps for each.
        generator: of the probes.
        allowed: bound on the distance, relative to the mean |λ|.
        on_progress: called after each step with ("", steps done, steps in all).
    """
    if num_probes < 1 or num_steps < 1:
        raise InputError(f"num_probes and num_steps must be >= 1: {num_probes}, {num_steps}")
    scores = op.scores()
    order = scores.argsort(descending=True, stable=True)
    shares = scores[order].double().cumsum(0) / scores.double().sum().clamp_min(1e-300)
    size = int((shares < KEPT_SHARE).sum()) + 1
    used, distance = op, 0.0
    if size <= LARGEST_SELECTION * op.num_images:
        used = op.over_images(order[:size].sort().values)
        distance = distance_bound(op.over_images(order[size:].sort().values), generator=generator)
    starts = [draw_probe(op.size, probe="normal", generator=generator) for _ in range(num_probes)]
    steps = min(num_steps, op.size)
    pilot = Lanczos(used, starts[0]).run(min(PILOT_STEPS, steps))
    if distance > allowed * _mean_size(Spectrum((pilot.tridiagonal(),), op.size, "normal")):
        used.forget()
        used, distance = op, 0.0
        pilot = Lanczos(op, starts[0])
    runs = probe_runs(
        lambda k: Lanczos(used, starts[k]) if k else pilot,
        num_probes=num_probes,
        num_steps=steps,
        on_progress=on_progress,
    )
    spectrum = Spectrum(tuple(run.tridiagonal() for run in runs), op.size, "normal")
    return spectrum, DensityBound(distance, _mean_size(spectrum), used.num_images)


def _mean_size(spectrum: Spectrum) -> float:
    return float(np.abs(spectrum.nodes) @ spectrum.weights)
