"""The trace from the products of a density, its resolved part exact."""

import numpy as np
from scipy.special import ndtri, stdtrit

from spectra.krylov.quadrature.intervals import LEVEL, Interval, check_level
from spectra.krylov.quadrature.resolved import resolve
from spectra.krylov.spectrum import Spectrum


def trace_interval(spectrum: Spectrum, level: float = LEVEL) -> Interval | None:
    """Return tr H with an interval, from the products of the density.

    Resolved eigenvalues are added up (:func:`spectra.resolve`); the n others are Hutchinson's mean
    of K probes, n vᵀHv for v in their span, which has the variance 2n² / (n + 2) · (tr H²/n -
    (tr H/n)²). That is read off the same quadrature, so that one or two probes have an
    interval too. Of sign probes it is not known; there the plain mean has Student's interval.

    Cost: none of products.

    Args:
        spectrum: raw quadrature.
        level: of coverage, 0 < level < 1.

    Returns:
        In eigenvalue units; None for a single sign probe.

    Raises:
        InputError: ``level`` is out of range.

    Source: Hutchinson 1990; the idea to take out what is known, Meyer, Musco, Musco & Woodruff
    2021 (Hutch++), from the Krylov space of the probes itself as Chen & Hallman 2023.

    Example:
        >>> H = spectra.DenseOperator(torch.diag(torch.tensor([9.0, 5, -4] + [0] * 97).double()))
        >>> found = spectra.trace_interval(spectra.slq(H, num_probes=1))
        >>> round(found.estimate, 6), found.lower <= 10 <= found.upper
        (10.0, True)
    """
    check_level(level)
    if spectrum.probe != "normal":
        return _of_signs(spectrum, level)
    found = resolve(spectrum)
    n = found.rest_size
    firsts = [float(rule.weights @ rule.nodes) for rule in found.rest]
    first = float(np.mean(firsts))
    second = float(np.mean([rule.weights @ rule.nodes**2 for rule in found.rest]))
    variance = 2 / (n + 2) * max(second - first**2, 0.0)
    if len(firsts) >= 3:
        variance = max(variance, float(np.var(firsts, ddof=1)))
    estimate = float(found.values.sum()) + n * first
    half = float(ndtri((1 + level) / 2)) * n * (variance / len(firsts)) ** 0.5
    half += float(found.errors.sum())
    return Interval(estimate - half, estimate, estimate + half, level)


def _of_signs(spectrum: Spectrum, level: float) -> Interval | None:
    each = spectrum.size * spectrum.moment_estimates(1)
    if len(each) < 2:
        return None
    error = float(each.std(ddof=1)) / len(each) ** 0.5
    half = float(stdtrit(len(each) - 1, (1 + level) / 2)) * error
    return Interval(spectrum.trace - half, spectrum.trace, spectrum.trace + half, level)
