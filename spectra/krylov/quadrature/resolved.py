"""Eigenvalues that every run of a density has resolved, and the quadrature of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc

from spectra.errors import InputError
from spectra.krylov.spectrum import ZERO_NODE, Spectrum
from spectra.krylov.tridiagonal import FloatArray, Tridiagonal

# Ours: relative to the largest |node|; the value itself is then right to about the square of that.
RESOLVED_RESIDUAL = 1e-3
# Ours: beside eigenvalues that are not resolved, whether one is must not depend on its weight; a
# weight that is a thousand times smaller leaves a residual some thirty times larger.
_WITHIN = 1e-3
# Ours: P·weight of a single eigenvalue is χ² with one degree of freedom for each probe. That of one
# probe is over 20 once in 130,000 eigenvalues; what is over it has copies, as a null space has.
_COPIES = 7.74e-6

# A Ritz value's place in the run of each probe.
Places = tuple[int, ...]


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
        errors: by how much each misses its eigenvalue, residual² / gap or the rounding of float32;
            an estimate, since the gap is that of the Ritz values.
        rest: the rule of each probe without them; its mass is (P - k) / P.
        source: the quadrature that all this is of.

    Example:
        >>> eigenvalues = torch.cat([torch.linspace(-1, 1, 95), torch.tensor([4.0, 6, 7, 9, -3])])
        >>> H = spectra.DenseOperator(torch.diag(eigenvalues.double()))
        >>> found = spectra.resolve(spectra.slq(H, num_steps=25))
        >>> found.values.round(6).tolist(), found.rest_mass
        ([-3.0, 4.0, 6.0, 7.0, 9.0], 0.95)
    """

    values: FloatArray
    residuals: FloatArray
    errors: FloatArray
    rest: tuple[RestRule, ...]
    source: Spectrum

    def __len__(self) -> int:
        return len(self.values)

    @property
    def size(self) -> int:
        """P."""
        return self.source.size

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
        nodes = self.rest_nodes
        return (float(nodes[0]), float(nodes[-1])) if len(nodes) else None

    @property
    def rest_nodes(self) -> FloatArray:
        """All nodes that are not resolved, rising."""
        return np.sort(np.concatenate([rule.nodes for rule in self.rest]))

    def rest_density(self, grid: FloatArray, sigma: float) -> FloatArray:
        """Return the smoothed density of the rest at ``grid``; it integrates to (P - k) / P.

        Args:
            grid: where to evaluate, any shape, eigenvalue units.
            sigma: standard deviation of the Gaussian, eigenvalue units, > 0.
        """
        means = [bells(grid, rule.nodes, sigma) @ rule.weights for rule in self.rest]
        return np.asarray(self.rest_mass * np.mean(means, axis=0))

    def density(self, grid: FloatArray, sigma: float) -> FloatArray:
        """Return the smoothed density of all eigenvalues at ``grid``; it integrates to 1.

        Args:
            grid: where to evaluate, any shape, eigenvalue units.
            sigma: standard deviation of the Gaussian, eigenvalue units, > 0.
        """
        resolved = bells(grid, self.values, sigma).sum(-1) / self.size
        return np.asarray(self.rest_density(grid, sigma) + resolved)


def resolve(spectrum: Spectrum) -> ResolvedSpectrum:
    """Take the eigenvalues that every run has resolved out of what is to be smoothed.

    Random probes give an eigenvalue the weight c², of which 1/P is the mean alone: at two probes an
    isolated eigenvalue is drawn too high or too low by a factor of two. Where every run has a
    Ritz value of residual at most 1e-3 max|node|, with no other within twice its residual, and all
    of them are as near to each other as these residuals say, it is one eigenvalue of mass 1/P.

    They are taken from both ends inwards, up to the first that a run has not resolved: which of
    those in between are resolved depends on their weights, and the rest would be biased. Further in
    only those are taken whose residual is a thousand times smaller.

    That is right for eigenvalues without copies. Copies look like one to Lanczos. Where the weights
    are larger than those of single eigenvalues would ever be, or 0 is within the residual (a null
    space has any number of them), it stays in the rest, and so where rounding brought a copy into a
    run. Else a double eigenvalue counts once: ``slq(deflate=True)`` finds the other copy, and
    :func:`spectra.counted_eigenpairs` counts them.

    What was deflated is resolved, whatever the probes say. Its vectors are known up to their
    residuals; so the residuals of what is found beside them include these.

    Cost: none of products.

    Args:
        spectrum: raw quadrature; of runs that do not know their residuals nothing is resolved.

    Source: ours; the residual bounds: Parlett, The Symmetric Eigenvalue Problem, 1980, chapters 11
    and 13.
    """
    largest = float(np.abs(spectrum.nodes).max())
    seen = spectrum.complement
    runs = [_Run.of(t, largest) for t in seen.probes]
    groups = _taken(seen, runs, largest)
    rest = _rest(seen, groups)
    if len(groups) < seen.size and not all(len(rule.nodes) for rule in rest):
        groups, rest = [], _rest(seen, [])
    best = []
    for group in groups:
        run, i = min(zip(runs, group, strict=True), key=lambda one: one[0].residuals[one[1]])
        best.append((run.values[i], run.residuals[i], run.errors[i] + ZERO_NODE * largest))
    if (taken := spectrum.deflated) is not None:
        moved = taken.displacements(np.array([value for value, _, _ in best]))
        best = [
            (value, float(np.hypot(residual, taken.coupling)), error + more)
            for (value, residual, error), more in zip(best, moved, strict=True)
        ]
        best += zip(taken.values, taken.residuals, taken.errors, strict=True)
    values, residuals, errors = np.array(sorted(best)).reshape(-1, 3).T
    return ResolvedSpectrum(values, residuals, errors, rest, spectrum)


def bells(grid: FloatArray, nodes: FloatArray, sigma: float) -> FloatArray:
    """Return a Gaussian of integral 1 around each node, shape grid.shape + (nodes,)."""
    if not sigma > 0:
        raise InputError(f"sigma must be positive, got {sigma}")
    offsets = (np.asarray(grid, dtype=np.float64)[..., None] - nodes) / sigma
    return np.asarray(np.exp(-0.5 * offsets**2) / (sigma * np.sqrt(2 * np.pi)))


class _Run(NamedTuple):
    """The Ritz values of a run, their residuals, and by how much they miss their eigenvalues."""

    values: FloatArray
    residuals: FloatArray
    errors: FloatArray
    resolved: list[int]

    @classmethod
    def of(cls, t: Tridiagonal, largest: float) -> "_Run":
        values, residuals = t.ritz_values(), t.residual_bounds()
        beside = np.diff(values, prepend=-np.inf, append=np.inf)
        gaps = np.minimum(beside[:-1], beside[1:])
        around = residuals + ZERO_NODE * largest
        # Right, alone and not 0.
        right = (residuals <= RESOLVED_RESIDUAL * largest) & (gaps > 2 * around)
        resolved = np.flatnonzero(right & (np.abs(values) > around)).tolist()
        apart = np.maximum(gaps - residuals, residuals + np.finfo(np.float64).tiny)
        return cls(values, residuals, residuals**2 / apart, resolved)


def _rest(spectrum: Spectrum, groups: Sequence[Places]) -> tuple[RestRule, ...]:
    rules = []
    for k, t in enumerate(spectrum.probes):
        taken = [group[k] for group in groups]
        nodes = np.delete(t.ritz_values(), taken)
        weights = np.delete(t.quadrature_weights(), taken)
        rules.append(RestRule(nodes, weights / weights.sum() if len(weights) else weights))
    return tuple(rules)


def _taken(spectrum: Spectrum, runs: Sequence[_Run], largest: float) -> list[Places]:
    """Return the places of the eigenvalues that are taken out, rising."""
    found = _resolved_by_all(spectrum, runs, largest)
    if not found or not _may_be_single(spectrum, found):
        return []
    below, above = len(found), -1  # the first from below, and from above, with others beyond it
    for k, group in enumerate(found):
        if any(place != k for place in group):
            below = min(below, k)
        if any(len(r.values) - i != len(found) - k for r, i in zip(runs, group, strict=True)):
            above = k
    limit = _WITHIN * RESOLVED_RESIDUAL * largest
    return [
        group
        for k, group in enumerate(found)
        if not above >= k >= below
        or all(run.residuals[i] <= limit for run, i in zip(runs, group, strict=True))
    ]


def _resolved_by_all(spectrum: Spectrum, runs: Sequence[_Run], largest: float) -> list[Places]:
    """Return the eigenvalues that every run has resolved and that may be single, rising."""
    first, rounding = runs[0], ZERO_NODE * largest
    groups = []
    for i in first.resolved:
        group = [i]
        for run in runs[1:]:
            for j in run.resolved:
                allowed = first.errors[i] + run.errors[j] + rounding
                if abs(run.values[j] - first.values[i]) <= allowed:
                    group.append(j)
                    break
        if len(group) == len(runs) and not _has_copies(spectrum, [tuple(group)]):
            groups.append(tuple(group))
    return groups


def _has_copies(spectrum: Spectrum, groups: Sequence[Places]) -> bool:
    """Say whether weights are larger than those of single eigenvalues would ever be."""
    total = sum(
        float(t.quadrature_weights()[list(places)].sum())
        for t, places in zip(spectrum.probes, zip(*groups, strict=True), strict=True)
    )
    freedom = len(groups) * len(spectrum.probes)
    return bool(chdtrc(freedom, spectrum.size * total) < _COPIES)


def _may_be_single(spectrum: Spectrum, groups: Sequence[Places]) -> bool:
    """Say whether nothing shows that eigenvalues beside 0 have copies.

    A space that closes before P steps does, where 0 is not among its nodes.
    """
    return not _has_copies(spectrum, groups) and all(
        not t.closed or len(t) == spectrum.size or np.abs(t.ritz_values()).min() <= spectrum.zero
        for t in spectrum.probes
    )
