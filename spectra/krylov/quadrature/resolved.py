"""Eigenvalues that every run of a density has resolved, and the quadrature of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from spectra.errors import InputError
from spectra.krylov.spectrum import ZERO_NODE, Spectrum
from spectra.krylov.tridiagonal import FloatArray, Tridiagonal

# Ours: relative to the largest |node|; the value itself is then right to about the square of that.
RESOLVED_RESIDUAL = 1e-3
# Ours: P·weight of a single eigenvalue is χ² with one degree of freedom for each probe. That of one
# probe is over 20 once in 130,000 eigenvalues; what is over it has copies, as a null space has.
_COPIES = 7.74e-6


@dataclass(frozen=True)
class RestRule:
    """What one probe has beside the resolved eigenvalues.

    Attributes:
        nodes: Ritz values, rising, shape (m - k,).
        weights: of the same shape; they sum to 1, or there is none.
    """

    nodes: FloatArray
    weights: FloatArray


@dataclass(frozen=True)
class ResolvedSpectrum:
    """Eigenvalues that stand for themselves, 1/P each, and what has to be smoothed.

    Attributes:
        values: resolved eigenvalues, rising, shape (k,), eigenvalue units.
        residuals: ‖H y - θ y‖ of each, the smallest of its runs; an eigenvalue lies within it.
        rest: the rule of each probe without them; its mass is (P - k) / P.
        size: P.

    Example:
        >>> eigenvalues = torch.cat([torch.linspace(-1, 1, 95), torch.tensor([4.0, 6, 7, 9, -3])])
        >>> H = spectra.DenseOperator(torch.diag(eigenvalues.double()))
        >>> found = spectra.resolve(spectra.slq(H, num_steps=25))
        >>> found.values.round(6).tolist(), found.rest_mass
        ([-3.0, 4.0, 6.0, 7.0, 9.0], 0.95)
    """

    values: FloatArray
    residuals: FloatArray
    rest: tuple[RestRule, ...]
    size: int

    def __len__(self) -> int:
        return len(self.values)

    @property
    def rest_size(self) -> int:
        """P - k: the eigenvalues that are not resolved."""
        return self.size - len(self.values)

    @property
    def rest_mass(self) -> float:
        """(P - k) / P."""
        return self.rest_size / self.size

    @property
    def rest_ends(self) -> tuple[float, float] | None:
        """The outermost nodes that are not resolved; None where all eigenvalues are."""
        nodes = np.concatenate([rule.nodes for rule in self.rest])
        return (float(nodes.min()), float(nodes.max())) if len(nodes) else None

    def rest_density(self, grid: FloatArray, sigma: float) -> FloatArray:
        """Return the smoothed density of the rest at ``grid``; it integrates to (P - k) / P.

        Args:
            grid: where to evaluate, any shape, eigenvalue units.
            sigma: standard deviation of the Gaussian, eigenvalue units, > 0.
        """
        means = [_smoothed(rule.nodes, rule.weights, grid, sigma) for rule in self.rest]
        return np.asarray(self.rest_mass * np.mean(means, axis=0))

    def density(self, grid: FloatArray, sigma: float) -> FloatArray:
        """Return the smoothed density of all eigenvalues at ``grid``; it integrates to 1.

        Args:
            grid: where to evaluate, any shape, eigenvalue units.
            sigma: standard deviation of the Gaussian, eigenvalue units, > 0.
        """
        each = np.full(len(self.values), 1 / self.size)
        return self.rest_density(grid, sigma) + _smoothed(self.values, each, grid, sigma)


def resolve(spectrum: Spectrum) -> ResolvedSpectrum:
    """Take the eigenvalues that every run has resolved out of what is to be smoothed.

    Random probes give an eigenvalue the weight c², of which 1/P is the mean alone: at two probes an
    isolated eigenvalue is drawn too high or too low by a factor of three. Where every run has a
    Ritz value of residual at most 1e-3 max|node|, with no other within twice its residual, and all
    of them lie within each other's residuals, it is one eigenvalue and has the mass 1/P.

    That is so where an eigenvalue has no copies, as but for a null space is the rule. Copies of an
    eigenvalue look like one to Lanczos; where its weights are larger than a single one's would ever
    be, or 0 is within its residual, it stays in the rest.

    Cost: none of products.

    Args:
        spectrum: raw quadrature; of runs that do not know their residuals nothing is resolved.

    Source: ours; the residual bounds are Paige's and Parlett's, The Symmetric Eigenvalue Problem,
    1980, chapters 11 and 13. Chen & Hallman 2023 do so for functions of a matrix.
    """
    largest = float(np.abs(spectrum.nodes).max())
    groups = _found_by_all(spectrum, largest)
    if not _may_be_single(spectrum, groups):
        groups = []
    values, residuals = [], []
    for group in groups:
        bounds = [t.residual_bounds()[i] for t, i in zip(spectrum.probes, group, strict=True)]
        best = int(np.argmin(bounds))
        values.append(float(spectrum.probes[best].ritz_values()[group[best]]))
        residuals.append(float(bounds[best]))
    rest = _rest(spectrum, groups)
    if len(groups) < spectrum.size and not all(len(rule.nodes) for rule in rest):
        return ResolvedSpectrum(np.zeros(0), np.zeros(0), _rest(spectrum, []), spectrum.size)
    return ResolvedSpectrum(np.array(values), np.array(residuals), rest, spectrum.size)


def _smoothed(nodes: FloatArray, weights: FloatArray, grid: FloatArray, sigma: float) -> FloatArray:
    if not sigma > 0:
        raise InputError(f"sigma must be positive, got {sigma}")
    offsets = (np.asarray(grid, dtype=np.float64)[..., None] - nodes) / sigma
    return np.asarray(np.exp(-0.5 * offsets**2) @ weights / (sigma * np.sqrt(2 * np.pi)))


def _rest(spectrum: Spectrum, groups: Sequence[tuple[int, ...]]) -> tuple[RestRule, ...]:
    rules = []
    for k, t in enumerate(spectrum.probes):
        taken = [group[k] for group in groups]
        nodes = np.delete(t.ritz_values(), taken)
        weights = np.delete(t.quadrature_weights(), taken)
        rules.append(RestRule(nodes, weights / weights.sum() if len(weights) else weights))
    return tuple(rules)


def _found_by_all(spectrum: Spectrum, largest: float) -> list[tuple[int, ...]]:
    """Return, for each eigenvalue that every run has resolved, its Ritz value's place in each."""
    runs = [_resolved_by_one(t, largest) for t in spectrum.probes]
    rounding = ZERO_NODE * largest
    groups = []
    for i in runs[0]:
        group = [i]
        theta, error = _value_and_error(spectrum.probes[0], i)
        for t, candidates in zip(spectrum.probes[1:], runs[1:], strict=True):
            for j in candidates:
                other, others_error = _value_and_error(t, j)
                if abs(other - theta) <= error + others_error + rounding:
                    group.append(j)
                    break
        if len(group) == len(runs) and not _has_copies(spectrum, [tuple(group)]):
            groups.append(tuple(group))
    return groups


def _resolved_by_one(t: Tridiagonal, largest: float) -> list[int]:
    """Return the places of Ritz values that are right, alone and not 0."""
    values, residuals = t.ritz_values(), t.residual_bounds()
    beside = np.diff(values, prepend=-np.inf, append=np.inf)
    gaps = np.minimum(beside[:-1], beside[1:])
    around = residuals + ZERO_NODE * largest
    alone = (residuals <= RESOLVED_RESIDUAL * largest) & (gaps > 2 * around)
    return np.flatnonzero(alone & (np.abs(values) > around)).tolist()


def _value_and_error(t: Tridiagonal, i: int) -> tuple[float, float]:
    """Return a Ritz value and the r² / gap by which it misses its eigenvalue, at most r."""
    values, residual = t.ritz_values(), float(t.residual_bounds()[i])
    gap = float(np.abs(np.delete(values, i) - values[i]).min(initial=np.inf)) - residual
    return float(values[i]), min(residual, residual**2 / gap if gap > 0 else residual)


def _has_copies(spectrum: Spectrum, groups: Sequence[tuple[int, ...]]) -> bool:
    """Say whether weights are larger than those of single eigenvalues would ever be."""
    total = sum(
        float(t.quadrature_weights()[list(places)].sum())
        for t, places in zip(spectrum.probes, zip(*groups, strict=True), strict=True)
    )
    freedom = len(groups) * len(spectrum.probes)
    return bool(chdtrc(freedom, spectrum.size * total) < _COPIES)


def _may_be_single(spectrum: Spectrum, groups: Sequence[tuple[int, ...]]) -> bool:
    """Say whether nothing shows that eigenvalues beside 0 have copies.

    A space that closes before P steps does, where 0 is not among its nodes.
    """
    if groups and _has_copies(spectrum, groups):
        return False
    return all(
        not t.closed or len(t) == spectrum.size or np.abs(t.ritz_values()).min() <= spectrum.zero
        for t in spectrum.probes
    )
