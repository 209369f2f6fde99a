"""What a result says at one epoch: numbers by tag, and densities as histograms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import FloatArray
from spectra.results.analysis import Analysis
from spectra.results.record import row
from spectra.system.foreign_text import short_name

# Columns of the table that are a curve over training; each is a chart a class.
CURVES = ("lambda_min", "lambda_max", "ratio", "trace", "accuracy", "fit_accuracy", "loss",
          "grad_norm", "bending_share")  # fmt: skip
DENSITY = "density"
# Ours: bins are equally wide in log|λ|, 8 to a factor of ten, from 1e-6 of the largest |node| on,
# which is where float32 products no longer tell an eigenvalue from 0: 97 bins, of the 512 that
# Weights & Biases takes at most.
_BINS_A_DECADE, _DECADES = 8, 6


@dataclass(frozen=True)
class DensityHistogram:
    """A density in bins that are narrow near 0.

    Attributes:
        edges: rising, shape (k + 1,), loss / parameter².
        counts: how many of the P eigenvalues lie in each bin, shape (k,), an estimate; they sum
            to P, up to rounding.
        total: sum of all eigenvalues: the trace.
        squares: sum of their squares.
    """

    edges: FloatArray
    counts: FloatArray
    total: float
    squares: float

    @classmethod
    def of(cls, spectrum: Spectrum) -> "DensityHistogram":
        """Return the histogram of a density: P times the mean weight of the nodes in each bin."""
        nodes = np.concatenate([run.ritz_values() for run in spectrum.probes])
        weights = np.concatenate([run.quadrature_weights() for run in spectrum.probes])
        counted = spectrum.size * weights / len(spectrum.probes)
        largest = float(np.abs(nodes).max()) or 1.0
        arm = largest * np.logspace(-_DECADES, 0, _DECADES * _BINS_A_DECADE + 1)
        arm[-1] = np.nextafter(largest, np.inf)  # the largest node lies within
        edges = np.concatenate([-arm[::-1], arm])
        counts, _ = np.histogram(nodes, edges, weights=counted)
        return cls(
            edges,
            counts,
            total=float(counted @ nodes),
            squares=float(counted @ nodes**2),
        )


@dataclass(frozen=True)
class EpochValues:
    """What there is to write of one epoch.

    Attributes:
        epoch: epochs of training done; 0 where that is not known.
        numbers: by tag, ``lambda_min/8``.
        densities: by tag, ``density/8``.
    """

    epoch: int
    numbers: Mapping[str, float]
    densities: Mapping[str, DensityHistogram] = field(default_factory=dict)

    @classmethod
    def of(cls, analysis: Analysis) -> "EpochValues":
        """Return the curves of every loss, and its density where there is one."""
        numbers: dict[str, float] = {}
        densities = {}
        for record in analysis.records:
            name, values = short_name(record.label), row(record)
            for curve in CURVES:
                value = values[curve]
                if isinstance(value, int | float) and math.isfinite(value):
                    numbers[f"{curve}/{name}"] = float(value)
            if record.spectrum is not None:
                densities[f"{DENSITY}/{name}"] = DensityHistogram.of(record.spectrum)
        return cls(analysis.checkpoint.epoch or 0, numbers, densities)
