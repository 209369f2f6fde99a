"""Whether the ends of a density belong to eigenvalues: the mass that its outermost nodes carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betainc
from scipy.stats import chi2

from spectra.errors import InputError, check_count
from spectra.krylov.spectrum import Spectrum
from spectra.krylov.tridiagonal import FloatArray

# Ours: a study of a hundred densities of fixed matrices then raises a false warning once in a
# hundred. Fitted runs over draws that change lie under 1e-13.
WARNING_RATE = 1e-4
# Ours: relative to the largest |node|. Copies of an eigenvalue that a run without
# reorthogonalisation finds share its mass and lie this close together in float32, whose products
# of deep ReLU networks are wrong by some 1e-4.
SAME_NODE = 1e-4
# Ours: text with three digits a weight is read; what sums to P, or to a count, is not.
_SUM = 1e-2

LOWER, UPPER = "lower", "upper"


@dataclass(frozen=True)
class SpectrumEnd:
    """The outermost node at one end, and how likely it is that an eigenvalue carries so little.

    Attributes:
        node: the outermost of all runs, eigenvalue units.
        mass: P times the weight of it and of its copies, in the run that it is of: about 1 for an
            eigenvalue, about k for a cluster of k, more for a node that has not converged.
        probability: that the outermost nodes of all runs carry no more than they do, at most, where
            each belongs to an eigenvalue of one fixed matrix.
        masses: P times the weight of the outermost node of each run.
    """

    node: float
    mass: float
    probability: float
    masses: tuple[float, ...]


@dataclass(frozen=True)
class SpectrumCheck:
    """Both ends of a density, and whether they can belong to eigenvalues.

    Let q be the start vector and v a unit eigenvector of the lowest eigenvalue. A Lanczos run on
    *one* symmetric matrix gives its lowest node at least the weight (v·q)², after however many
    steps and converged or not: its lowest node θ is at or above that eigenvalue, and its weight at
    least the whole mass at or below θ (the inequality of Chebyshev, Markov and Stieltjes). For q
    uniform on the sphere (v·q)² is distributed as Beta(1/2, (P-1)/2), about χ²₁/P. So a weight w
    has a probability of at most I_w(1/2, (P-1)/2), whatever the matrix. The upper end is alike.

    Runs are independent, given the matrix: Fisher's method puts their probabilities together. Each
    end may take half of :data:`WARNING_RATE`, which is then the rate of false warnings, at most.

    Attributes:
        size: P, the number of eigenvalues.
        lowest: the lower end.
        highest: the upper end.

    Source: Szegő 1939, §3.41, for the inequality; Fisher 1925. The test is ours.
    """

    size: int
    lowest: SpectrumEnd
    highest: SpectrumEnd

    @classmethod
    def of(cls, spectrum: Spectrum) -> "SpectrumCheck":
        """Check what a Lanczos run left; what was deflated is not judged, the probes beside it are.

        The start vectors are taken to be uniform on the sphere. Signs are close to that, but for
        eigenvectors that have few entries: see docs/densities.md.
        """
        # What a run finds from a new direction, once its space has closed, has no weight in q.
        first = [t.first_block() for t in spectrum.probes]
        runs = [(t.ritz_values(), t.quadrature_weights()) for t in first]
        return _checked(runs, spectrum.complement.size)

    @property
    def massless(self) -> tuple[str, ...]:
        """The ends that carry no mass: ``lower``, ``upper``, both or none."""
        ends = ((LOWER, self.lowest), (UPPER, self.highest))
        return tuple(name for name, end in ends if end.probability < WARNING_RATE / 2)

    @property
    def warning(self) -> str:
        """What is wrong with the ends; empty where nothing is."""
        if not self.massless:
            return ""
        if len(self.massless) == 2:
            return "these ends carry no mass: they belong to no eigenvalue"
        return f"the {self.massless[0]} end carries no mass: it belongs to no eigenvalue"

    @property
    def sentence(self) -> str:
        """The verdict in a sentence, with its numbers."""
        ends = dict(zip((LOWER, UPPER), (self.lowest, self.highest), strict=True))
        shown = [ends[name] for name in self.massless] or list(ends.values())
        said = " and ".join(
            f"{end.node:.4g} carries {end.mass:.2g} (probability {end.probability:.2g})"
            for end in shown
        )
        what = self.warning or "both ends carry what eigenvalues of a fixed matrix may carry"
        return f"{what}; where by Lanczos' recurrence an eigenvalue carries about 1, {said}"


def check_spectrum(
    nodes: npt.ArrayLike | Sequence[npt.ArrayLike],
    weights: npt.ArrayLike | Sequence[npt.ArrayLike],
    size: int,
) -> SpectrumCheck:
    """Check the ends of anybody's density, from its nodes and weights; no checkpoint is needed.

    Args:
        nodes: Ritz values, shape (m,), or a list of those of several runs: PyHessian's
            ``density_eigen``.
        weights: of the same shape, each run's of sum 1: PyHessian's ``density_weight``.
        size: P, the number of parameters.

    Returns:
        Both ends; ``warning`` says in words what is wrong with them, and is empty where nothing is.

    Raises:
        InputError: shapes differ, a number is not finite, a weight is negative, weights do not sum
            to 1, or ``size`` is less than the nodes of a run.

    Example:
        >>> nodes, weights = [-59.0, 0.1, 2.0, 60.0], [1e-35, 0.9, 0.1, 1e-34]
        >>> spectra.check_spectrum(nodes, weights, size=269722).warning
        'these ends carry no mass: they belong to no eigenvalue'
    """
    check_count("size", size)
    t, w = _by_run(nodes), _by_run(weights)
    if len(t) != len(w):
        raise InputError(
            f"nodes and weights must be of equally many runs, got {len(t)} and {len(w)}"
        )
    runs = [_run(k, *pair, size) for k, pair in enumerate(zip(t, w, strict=True), 1)]
    return _checked(runs, size)


def _by_run(values: npt.ArrayLike | Sequence[npt.ArrayLike]) -> list[Any]:
    """Return the numbers of each run; numbers that are in no list of lists are one run."""
    try:
        given: list[Any] = list(values)  # type: ignore[arg-type]
    except TypeError as error:  # a number, or an array of no dimension
        raise InputError(
            f"nodes and weights must be lists of numbers, got {str(values)[:60]}"
        ) from error
    first = given[0] if given else None
    nested = isinstance(first, list | tuple) or getattr(first, "ndim", 0) > 0
    return given if nested else [given]


def _run(
    k: int, nodes: npt.ArrayLike, weights: npt.ArrayLike, size: int
) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of run ``k``, nodes rising."""
    try:
        t, w = (_real(values) for values in (nodes, weights))
    except (TypeError, ValueError) as error:
        raise InputError(f"run {k}: nodes and weights must be real numbers ({error})") from error
    if t.ndim != 1 or t.shape != w.shape or not len(t):
        raise InputError(
            f"run {k}: nodes and weights must be lists of the same length, got shapes {t.shape} "
            f"and {w.shape}"
        )
    if len(t) > size:
        raise InputError(f"run {k} has {len(t)} nodes, a matrix of size {size} has at most {size}")
    if not (np.isfinite(t).all() and np.isfinite(w).all()):
        raise InputError(f"run {k}: nodes and weights must be finite")
    if w.min() < 0 or abs(w.sum() - 1) > _SUM:
        raise InputError(
            f"run {k}: weights must be 0 or more and sum to 1, got a least of {w.min():.3g} and a "
            f"sum of {w.sum():.6g}; nodes come first, weights second"
        )
    order = np.argsort(t, kind="stable")
    return t[order], w[order]


def _real(values: npt.ArrayLike) -> FloatArray:
    """Return numbers in float64; complex ones, as ``torch.eig`` gave them, where they are real."""
    if isinstance(values, Sequence) and any(isinstance(v, str | bool) for v in values):
        wrong = next(v for v in values if isinstance(v, str | bool))
        raise ValueError(f"got {str(wrong)[:60]!r} among them")
    array = np.asarray(values)
    if array.dtype.kind not in "iufc":
        raise ValueError(f"got values of type {array.dtype}")
    if np.iscomplexobj(array):
        if np.any(array.imag != 0):
            raise ValueError("some have an imaginary part")
        array = array.real
    return array.astype(np.float64)


def _checked(runs: Sequence[tuple[FloatArray, FloatArray]], size: int) -> SpectrumCheck:
    mirrored = [(-nodes[::-1], weights[::-1]) for nodes, weights in runs]
    highest = _lowest_end(mirrored, size)
    return SpectrumCheck(
        size,
        _lowest_end(runs, size),
        SpectrumEnd(-highest.node, highest.mass, highest.probability, highest.masses),
    )


def _lowest_end(runs: Sequence[tuple[FloatArray, FloatArray]], size: int) -> SpectrumEnd:
    ends = np.array([nodes[0] for nodes, _ in runs])
    weights = np.array([_weight_of_lowest(*run) for run in runs])
    masses = size * weights
    # A matrix of size 1 has one eigenvector, whose weight is 1.
    each = betainc(0.5, (size - 1) / 2, weights) if size > 1 else np.ones(len(runs))
    outermost = int(ends.argmin())
    return SpectrumEnd(
        node=float(ends[outermost]),
        mass=float(masses[outermost]),
        probability=_fisher(each),
        masses=tuple(masses.tolist()),
    )


def _weight_of_lowest(nodes: FloatArray, weights: FloatArray) -> float:
    """Return the weight of the lowest node and its copies, at most 1.

    A weight of exactly 0 has been rounded to it, in a file of few digits or by an eigensolver: it
    counts as the smallest that has not.
    """
    least = weights[weights > 0].min()
    copies = nodes <= nodes[0] + SAME_NODE * np.abs(nodes).max()
    return min(1.0, float(np.maximum(weights[copies], least).sum()))


def _fisher(probabilities: FloatArray) -> float:
    """Return the probability of independent ones all together; that of one is itself.

    >>> from spectra.findings.spectrum_check import _fisher
    >>> round(_fisher(np.array([0.03])), 6), _fisher(np.array([1e-9, 0.5])) < 1e-7
    (0.03, True)
    """
    if len(probabilities) == 1:
        return float(probabilities[0])
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return float(chi2.sf(-2 * logs.sum(), 2 * len(probabilities)))
