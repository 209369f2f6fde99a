"""Densities as the page smooths them, and the axes that all of them share."""

import base64
from collections.abc import Sequence

import numpy as np

from figures.report.contents import SharedAxes
from figures.report.contents_of_rows import DensityNodes
from figures.style.density_panel import DrawnDensity
from figures.style.spectral_axes import CEILING, FLOOR, Window
from spectra import LossAnalysis, SpectrumCheck
from spectra.findings.spectrum_check import LOWER
from spectra.krylov.tridiagonal import FloatArray

# Ours: a Gaussian of this weight is under the floor of the page's axis at widths over 4e-6.
LEAST_WEIGHT = 1e-12
# Ours: a decade and a half to either side, from single eigenvalues to one bump.
_FINER, _COARSER = 30.0, 30.0


def density_nodes(record: LossAnalysis) -> DensityNodes | None:
    """Return what the page needs of a density; None where there is none."""
    if record.spectrum is None:
        return None
    drawn = DrawnDensity.of(record, summed=False)
    spectrum, found = drawn.spectrum, drawn.found
    if found is None:  # of draws that change there are no eigenvalues
        nodes, weights = spectrum.nodes, spectrum.weights
        resolved = residuals = np.empty(0)
        ends: tuple[float, ...] = (float(nodes[0]), float(nodes[-1]))
    else:
        share = found.rest_mass / len(found.rest)
        nodes = np.concatenate([rule.nodes for rule in found.rest])
        weights = share * np.concatenate([rule.weights for rule in found.rest])
        resolved, residuals, ends = found.values, found.residuals, found.rest_ends or ()
    check = SpectrumCheck.of(spectrum)
    massless = [check.lowest if end == LOWER else check.highest for end in check.massless]
    kept = np.flatnonzero(weights >= LEAST_WEIGHT)
    kept = kept[np.argsort(nodes[kept], kind="stable")]
    return DensityNodes(
        size=spectrum.size,
        nodes=_packed(nodes[kept]),
        weights=_packed(weights[kept]),
        ends=ends,
        resolved=tuple(resolved.tolist()),
        residuals=tuple(residuals.tolist()),
        massless=tuple(end.node for end in massless),
        sigma=spectrum.reference_sigma(),
        probes=len(spectrum.probes),
        steps=max(len(t) for t in spectrum.probes),
    )


def shared_axes(records: Sequence[LossAnalysis]) -> SharedAxes | None:
    """Return axes that hold every density, and one width for all; None where there is none."""
    spectra = [(r, r.spectrum) for r in records if r.spectrum is not None]
    if not spectra:
        return None
    sigma = max(spectrum.reference_sigma() for _, spectrum in spectra)
    ends = [v for r, s in spectra for v in (r.lambda_min, r.lambda_max, *s.nodes[[0, -1]])]
    window = Window.around(ends, lambda _: CEILING, sigma=sigma, xlim=None)
    return SharedAxes(
        half=window.half,
        linear=window.linear,
        floor=FLOOR,
        sigma=sigma,
        sigma_least=sigma / _FINER,
        sigma_most=sigma * _COARSER,
    )


def unpacked(text: str) -> FloatArray:
    """Return the numbers that :class:`DensityNodes` holds as text, in float64."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)


def _packed(values: FloatArray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")
