"""A stored density: its types, and whether its lists belong to each other."""

import math

import msgspec
import numpy as np

from spectra.krylov.defaults import PROBES
from spectra.krylov.spectrum import Deflated, Spectrum
from spectra.krylov.tridiagonal import FloatArray, Tridiagonal

# Ours: relative to the largest |node|. Nodes and weights follow from α and β to 1e-14 in every
# file of ours, and an edited digit that matters is seen.
_AGREES = 1e-6


class StoredProbe(msgspec.Struct, frozen=True):
    """The tridiagonal matrix of one probe, as a file holds it; β_m is null where not known.

    Nodes and weights stand beside it for other readers. They follow from it, and have to agree.
    """

    alphas: list[float]
    betas: list[float]
    residual_beta: float | None
    closed: bool
    nodes: list[float] | None = None
    weights: list[float] | None = None

    def __post_init__(self) -> None:
        m = len(self.alphas)
        if not m or len(self.betas) != m - 1:
            raise ValueError(
                f"a probe must hold m >= 1 alphas and m - 1 betas, got {m} and {len(self.betas)}"
            )
        if min(self.betas, default=0.0) < 0 or (self.residual_beta or 0.0) < 0:
            raise ValueError("betas must not be negative")
        for name, values in (("nodes", self.nodes), ("weights", self.weights)):
            if values is not None and len(values) != m:
                raise ValueError(f"a probe of {m} alphas must hold {m} {name}, got {len(values)}")
        if self.nodes is not None and self.weights is not None:
            with np.errstate(all="ignore"):  # what overflows does not agree
                self._check_rule(np.array(self.nodes), np.array(self.weights))

    def _check_rule(self, nodes: FloatArray, weights: FloatArray) -> None:
        if weights.min() < 0:
            raise ValueError(f"weights must not be negative, got {weights.min()}")
        alphas, beta = np.array(self.alphas), self.betas[0] if self.betas else 0.0
        scale = float(np.abs(nodes).max()) or 1.0
        nodes, alphas, beta = nodes / scale, alphas / scale, beta / scale
        # The trace, and the first moments of the rule.
        pairs = (
            (nodes.mean(), alphas.mean()),
            (weights.sum(), 1.0),
            (weights @ nodes, alphas[0]),
            (weights @ nodes**2, alphas[0] ** 2 + beta**2),
        )
        if not all(abs(held - follows) <= _AGREES for held, follows in pairs):
            raise ValueError(
                "nodes and weights are not those of alphas and betas; one of them was changed"
            )

    def tridiagonal(self) -> Tridiagonal:
        """Return the matrix."""
        last = math.nan if self.residual_beta is None else self.residual_beta
        return Tridiagonal(np.array(self.alphas), np.array(self.betas), last, self.closed)


class StoredDeflated(msgspec.Struct, frozen=True):
    """Eigenvalues that were taken out before the probes were drawn, as a file holds them."""

    values: list[float]
    residuals: list[float]
    errors: list[float]

    def __post_init__(self) -> None:
        if not len(self.values) == len(self.residuals) == len(self.errors):
            raise ValueError("a residual and an error must stand for each deflated value")

    def deflated(self) -> Deflated:
        """Return them as arrays."""
        return Deflated(np.array(self.values), np.array(self.residuals), np.array(self.errors))


class StoredSpectrum(msgspec.Struct, frozen=True):
    """A density as a file holds it; its nodes and weights follow from the probes."""

    size: int
    probe: str
    probes: list[StoredProbe]
    deflated: StoredDeflated | None = None

    def __post_init__(self) -> None:
        if not self.probes:
            raise ValueError("a spectrum needs at least one probe")
        if self.probe not in PROBES:
            raise ValueError(f"probe must be one of {', '.join(PROBES)}, got {self.probe[:60]!r}")
        deflated = 0 if self.deflated is None else len(self.deflated.values)
        longest = max(len(probe.alphas) for probe in self.probes)
        if self.size < longest + deflated:
            raise ValueError(
                f"size must be at least the {longest} alphas of a probe and {deflated} deflated "
                f"values, got {self.size}"
            )

    @property
    def squares(self) -> int:
        """The numbers in the eigenvectors of all probes, which its nodes and weights take."""
        deflated = 0 if self.deflated is None else len(self.deflated.values)
        return sum(len(probe.alphas) ** 2 for probe in self.probes) + deflated**2

    def spectrum(self) -> Spectrum:
        """Return the density."""
        taken = None if self.deflated is None else self.deflated.deflated()
        return Spectrum(tuple(p.tridiagonal() for p in self.probes), self.size, self.probe, taken)
