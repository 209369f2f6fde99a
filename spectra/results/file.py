"""The result file: raw quadrature and provenance as strict JSON, and its view as a table."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spectra.active.density import DensityBound
from spectra.errors import InputError
from spectra.findings.certificates import Certificate
from spectra.findings.confidence import ImageBootstrap, Interval, negative_mass
from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.product_noise import ProductNoise
from spectra.findings.verdict import Verdict
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import Tridiagonal
from spectra.system.files import write_json

FORMAT = "spectra.analysis"
SCHEMA = 2  # 2 added certificates; a file of schema 1 reads as one without


@dataclass(frozen=True)
class Analysis:
    """The losses of one checkpoint, analyzed under one set of choices.

    Attributes:
        checkpoint: name, epoch, recipe, digest ... of the weights.
        protocol: what was computed: split, loss, reduction, images, dtype, device, solver.
        records: one for each class, group or the whole.
        versions: of the libraries that computed it.
    """

    checkpoint: Mapping[str, Any]
    protocol: Mapping[str, Any]
    records: tuple[LossAnalysis, ...]
    versions: Mapping[str, str] = field(default_factory=dict)

    def record(self, label: str) -> LossAnalysis:
        """Return the record of ``label``; KeyError if it was not analyzed."""
        for record in self.records:
            if record.label == label:
                return record
        raise KeyError(label)

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat dictionary for each record: the table, and ``analyze --json``."""
        return [_row(record) for record in self.records]


def save_analysis(path: Path, analysis: Analysis) -> None:
    """Write the result file atomically; equal results give equal bytes."""
    write_json(path, analysis_to_dict(analysis))


def analysis_to_dict(analysis: Analysis) -> dict[str, Any]:
    """Return the plain form of the result file, documented in docs/file-formats.md."""
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "checkpoint": dict(analysis.checkpoint),
        "protocol": dict(analysis.protocol),
        "versions": dict(analysis.versions),
        "records": [
            {
                **_row(record),
                "verdict_detail": asdict(record.verdict),
                "certificates": [c.to_dict() for c in record.certificates or ()],
                "density_bound": None if record.density is None else asdict(record.density),
                "noise": None if record.noise is None else asdict(record.noise),
                "bootstrap": None if record.bootstrap is None else asdict(record.bootstrap),
                **_quadrature(record),
            }
            for record in analysis.records
        ],
    }


def load_analysis(path: str | Path) -> Analysis:
    """Read a result file.

    Raises:
        InputError: not JSON, not this format, a newer schema, or incomplete.
    """
    try:
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} as a result file: {error}") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise InputError(f"{path} is not a result file of 'spectra analyze'")
    check_schema(plain, SCHEMA, origin=str(path))
    return analysis_from_dict(plain, origin=str(path))


def check_schema(plain: Mapping[str, Any], newest: int, *, origin: str) -> None:
    """Raise InputError unless ``plain`` has a schema up to ``newest``; ``origin`` names it."""
    if not isinstance(plain.get("schema"), int):
        raise InputError(f"{origin}: schema must be a number, got {plain.get('schema')!r}")
    if plain["schema"] > newest:
        raise InputError(
            f"{origin} has schema {plain['schema']}, this version reads up to {newest}; update "
            "hessian-spectra"
        )


def analysis_from_dict(plain: Mapping[str, Any], *, origin: str = "result") -> Analysis:
    """Rebuild what :func:`analysis_to_dict` returned; ``origin`` names it in errors."""
    try:
        return Analysis(
            checkpoint=plain["checkpoint"],
            protocol=plain["protocol"],
            records=tuple(_record(r) for r in plain["records"]),
            versions=plain["versions"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{origin} is incomplete or malformed: {error!r}") from error


def to_csv(analysis: Analysis) -> str:
    """Return the table as CSV, one line for each record."""
    rows = analysis.rows()
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        flat = {k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in row.items()}
        writer.writerow(flat)
    return out.getvalue()


def _of_spectrum(spectrum: Spectrum | None) -> dict[str, Any]:
    """Return what the quadrature says; nulls where there is none."""
    names = ("node_min", "node_max", "trace", "trace_error", "negative_mass",
             "negative_mass_low", "negative_mass_high")  # fmt: skip
    if spectrum is None:
        return dict.fromkeys(names)
    mass = negative_mass(spectrum) if spectrum.probe == "normal" else None
    values = (
        float(spectrum.nodes[0]), float(spectrum.nodes[-1]), spectrum.trace, spectrum.trace_error,
        spectrum.negative_mass, mass and mass.lower, mass and mass.upper,
    )  # fmt: skip
    return dict(zip(names, values, strict=True))


def _row(record: LossAnalysis) -> dict[str, Any]:
    low, high = record.certificates or (None, None)
    return {
        "class": int(record.label) if record.label.isdigit() else record.label,
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
        "critical_radius": record.verdict.critical_radius,
        "radius": record.verdict.radius,
        **_of_spectrum(record.spectrum),
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
    }


def _quadrature(record: LossAnalysis) -> dict[str, Any]:
    spectrum = record.spectrum
    if spectrum is None:
        return {"spectrum": None}
    return {
        "spectrum": {
            "size": spectrum.size,
            "probe": spectrum.probe,
            "probes": [
                {
                    "alphas": t.alphas.tolist(),
                    "betas": t.betas.tolist(),
                    "residual_beta": t.residual_beta if math.isfinite(t.residual_beta) else None,
                    "closed": t.closed,
                    "nodes": t.ritz_values().tolist(),
                    "weights": t.quadrature_weights().tolist(),
                }
                for t in spectrum.probes
            ],
        }
    }


def _spectrum(plain: Mapping[str, Any] | None) -> Spectrum | None:
    if plain is None:
        return None
    probes = tuple(
        Tridiagonal(
            np.array([float(a) for a in t["alphas"]]),
            np.array([float(b) for b in t["betas"]]),
            float("nan") if t["residual_beta"] is None else float(t["residual_beta"]),
            bool(t["closed"]),
        )
        for t in plain["probes"]
    )
    if not probes or any(len(t) < 1 or len(t.betas) != len(t) - 1 for t in probes):
        raise ValueError("a probe must hold m >= 1 alphas and m - 1 betas")
    return Spectrum(probes, int(plain["size"]), str(plain["probe"]))


def _bootstrap(plain: Mapping[str, Any] | None) -> ImageBootstrap | None:
    if plain is None:
        return None
    return ImageBootstrap(**{name: Interval(**value) for name, value in plain.items()})


def _record(plain: Mapping[str, Any]) -> LossAnalysis:
    certificates = [Certificate.from_dict(c) for c in plain.get("certificates", ())]
    overlaps = [float(plain[k]) for k in ("overlap_min", "overlap_max") if plain.get(k) is not None]
    names = (
        "n", "factor", "loss", "fit_accuracy", "lambda_min", "lambda_max", "residual_min",
        "residual_max", "converged", "steps", "grad_norm", "grad_along_vmin", "accuracy",
    )  # fmt: skip
    return LossAnalysis(
        label=str(plain["class"]),
        classes=tuple(plain["classes"]),
        spectrum=_spectrum(plain["spectrum"]),
        verdict=Verdict(**plain["verdict_detail"]),
        certificates=(certificates[0], certificates[1]) if certificates else None,
        overlaps=(overlaps[0], overlaps[1]) if len(overlaps) == 2 else None,
        bootstrap=_bootstrap(plain.get("bootstrap")),
        density=DensityBound(**plain["density_bound"]) if plain.get("density_bound") else None,
        noise=ProductNoise(**plain["noise"]) if plain.get("noise") else None,
        products=plain.get("products", ""),
        image_products=plain.get("image_products"),
        active_images=plain.get("active_images"),
        start=plain.get("start", "cold"),
        **{name: plain[name] for name in names},
    )
