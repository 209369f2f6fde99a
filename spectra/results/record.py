"""One loss in a result file: its row of the table, and the raw quadrature behind it."""

import math
from typing import Any

import msgspec

from spectra.active.density_by_active_images import DensityBound
from spectra.findings.certificates import Certificate
from spectra.findings.confidence import ImageBootstrap
from spectra.findings.counted_eigenpairs import BothEnds
from spectra.findings.layers import LayerSpectrum
from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.product_noise import ProductNoise
from spectra.findings.verdict import Verdict
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import Tridiagonal
from spectra.landscape.bending import Bending
from spectra.landscape.stationary_point import StationaryPoint
from spectra.results.density_columns import COUNTED, ENDS, density_columns
from spectra.results.plain import to_plain
from spectra.results.stored.quadrature import StoredSpectrum

# Of a row: numbers, words, the list of classes; None where nothing is known.
RowValue = bool | int | float | str | list[int] | None


def row(record: LossAnalysis) -> dict[str, RowValue]:
    """Return the flat row of the table, as files, CSV and ``analyze --json`` have it."""
    low, high = record.certificates or (None, None)
    return {
        "class": class_key(record.label),
        "classes": list(record.classes),
        "n": record.n,
        "accuracy": record.accuracy,
        "fit_accuracy": record.fit_accuracy,
        "loss": record.loss,
        "lambda_min": record.lambda_min,
        "lambda_max": record.lambda_max,
        "ratio": record.ratio,
        "residual_min": record.residual_min,
        "residual_max": record.residual_max,
        "converged": record.converged,
        "steps": record.steps,
        "grad_norm": record.grad_norm,
        "grad_along_vmin": record.grad_along_vmin,
        "grad_norm_error": record.grad_norm_error,
        "critical_radius": record.verdict.critical_radius,
        "radius": record.verdict.radius,
        **density_columns(record),
        "lambda_min_at_most": None if low is None else low.attained,
        "lambda_min_at_least": None if low is None else low.beyond,
        "lambda_max_at_least": None if high is None else high.attained,
        "lambda_max_at_most": None if high is None else high.beyond,
        "proven": low is not None and low.proven,
        "products": record.products,
        "image_products": record.image_products,
        "active_images": record.active_images,
        "start": record.start,
        "overlap_min": record.overlaps[0] if record.overlaps else None,
        "overlap_max": record.overlaps[1] if record.overlaps else None,
        "factor": record.factor,
        "verdict": record.verdict.name,
        **_of_bending(record.bending),
        **_of_stationary(record.stationary),
    }


def class_key(label: str) -> int | str:
    """Return what the key ``class`` holds in every file: a class's number, or a group's name."""
    return int(label) if label.isdigit() else label


def record_to_plain(record: LossAnalysis, *, quadrature: bool = True) -> dict[str, Any]:
    """Return the row and what it rests on, documented in docs/file-formats.md.

    Args:
        record: of one loss.
        quadrature: also the nodes and weights of its density, which follow from α and β.
    """
    asked = {} if record.top is None else {"top": to_plain(record.top)}
    if record.layers:
        asked["layers"] = to_plain(record.layers)
    if record.bending is not None:
        asked["bending_detail"] = to_plain(record.bending)
    if record.stationary is not None:
        asked["stationary_detail"] = to_plain(record.stationary)
    # Files of earlier versions have no such keys, and are to be written again with their bytes.
    unasked = dict.fromkeys(ENDS)  # it follows from the nodes and weights in the file
    unasked |= {} if record.bending is not None else _of_bending(None)
    unasked |= {} if record.grad_norm_error is not None else {"grad_norm_error": None}
    unasked |= {} if record.stationary is not None else _of_stationary(None)
    unasked |= (
        {} if record.spectrum is not None and record.noise is None else dict.fromkeys(COUNTED)
    )
    return {
        **{key: value for key, value in row(record).items() if key not in unasked},
        "verdict_detail": to_plain(record.verdict),
        "certificates": to_plain(record.certificates or ()),
        "density_bound": to_plain(record.density),
        "noise": to_plain(record.noise),
        "bootstrap": to_plain(record.bootstrap),
        "spectrum": None if record.spectrum is None else _density(record.spectrum, quadrature),
        **asked,
    }


class StoredRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a record: what its other numbers follow from.

    Attributes:
        label: the key ``class``.
        verdict_detail, certificates, density_bound, noise, bootstrap, spectrum, top, layers,
            bending_detail, stationary_detail: see :func:`record_to_plain`.
    """

    label: int | str = msgspec.field(name="class")
    classes: tuple[int, ...]
    n: int
    factor: float
    loss: float
    fit_accuracy: float
    lambda_min: float
    lambda_max: float
    residual_min: float | None
    residual_max: float | None
    converged: bool
    steps: int
    grad_norm: float
    grad_along_vmin: float | None
    accuracy: float | None
    spectrum: StoredSpectrum | None
    verdict_detail: Verdict
    # Files of schema 1 end here.
    certificates: tuple[Certificate, ...] = ()
    products: str = ""
    image_products: float | None = None
    active_images: int | None = None
    start: str = "cold"
    overlap_min: float | None = None
    overlap_max: float | None = None
    bootstrap: ImageBootstrap | None = None
    density_bound: DensityBound | None = None
    noise: ProductNoise | None = None
    top: BothEnds | None = None
    layers: tuple[LayerSpectrum, ...] = ()
    grad_norm_error: float | None = None
    bending_detail: Bending | None = None
    stationary_detail: StationaryPoint | None = None

    def __post_init__(self) -> None:
        self._check_values()
        if len(self.certificates) not in (0, 2):
            raise ValueError(
                f"certificates must be those of λmin and of λmax, or none; got "
                f"{len(self.certificates)}"
            )

    def _check_values(self) -> None:
        """Raise ValueError where a number cannot be what its key says."""
        if self.lambda_min > self.lambda_max:
            raise ValueError(
                f"lambda_min must not be above lambda_max, got {self.lambda_min} and "
                f"{self.lambda_max}"
            )
        for name in ("n", "steps", "grad_norm", "residual_min", "residual_max"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        for name in ("accuracy", "fit_accuracy"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {value}")

    def record(self) -> LossAnalysis:
        """Return what was found of the loss."""
        low, high = self.certificates or (None, None)
        before_min, before_max = self.overlap_min, self.overlap_max
        return LossAnalysis(
            label=str(self.label),
            classes=self.classes,
            n=self.n,
            factor=self.factor,
            loss=self.loss,
            fit_accuracy=self.fit_accuracy,
            lambda_min=self.lambda_min,
            lambda_max=self.lambda_max,
            residual_min=self.residual_min,
            residual_max=self.residual_max,
            converged=self.converged,
            steps=self.steps,
            grad_norm=self.grad_norm,
            grad_along_vmin=self.grad_along_vmin,
            grad_norm_error=self.grad_norm_error,
            spectrum=None if self.spectrum is None else self.spectrum.spectrum(),
            verdict=self.verdict_detail,
            accuracy=self.accuracy,
            certificates=None if low is None or high is None else (low, high),
            products=self.products,
            image_products=self.image_products,
            active_images=self.active_images,
            start=self.start,
            overlaps=None if before_min is None or before_max is None else (before_min, before_max),
            bootstrap=self.bootstrap,
            density=self.density_bound,
            noise=self.noise,
            top=self.top,
            layers=self.layers,
            bending=self.bending_detail,
            stationary=self.stationary_detail,
        )


def _of_bending(bending: Bending | None) -> dict[str, RowValue]:
    """Return what a step within r removes of the loss, and the part of it that is bending."""
    names = ("lowered", "bending_share", "secant_over_pointwise", "kinked")
    if bending is None:
        return dict.fromkeys(names)
    values = (
        bending.lowered_with, bending.share, bending.secant_over_pointwise, bending.kinked,
    )  # fmt: skip
    return dict(zip(names, values, strict=True))


def _of_stationary(found: StationaryPoint | None) -> dict[str, RowValue]:
    """Return the name of the stationary point near by, and how far it is."""
    names = ("stationary", "stationary_distance", "stationary_relative_distance")
    if found is None:
        return dict.fromkeys(names)
    return dict(zip(names, (found.name, found.distance, found.relative_distance), strict=True))


def _density(spectrum: Spectrum, quadrature: bool) -> dict[str, Any]:
    taken, deflated = spectrum.deflated, {}
    if taken is not None:
        arrays = {"values": taken.values, "residuals": taken.residuals, "errors": taken.errors}
        deflated["deflated"] = {name: array.tolist() for name, array in arrays.items()}
    return {
        **deflated,
        "size": spectrum.size,
        "probe": spectrum.probe,
        "probes": [
            {
                "alphas": t.alphas.tolist(),
                "betas": t.betas.tolist(),
                "residual_beta": t.residual_beta if math.isfinite(t.residual_beta) else None,
                "closed": t.closed,
                **(_rule(t) if quadrature else {}),
            }
            for t in spectrum.probes
        ],
    }


def _rule(run: Tridiagonal) -> dict[str, list[float]]:
    return {"nodes": run.ritz_values().tolist(), "weights": run.quadrature_weights().tolist()}
