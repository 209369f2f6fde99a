"""A spectral density as raw quadrature: what stochastic Lanczos quadrature returns."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spectra.errors import InputError
from spectra.krylov.tridiagonal import FloatArray, Tridiagonal

# Ours: the rounding of float32 products, relative to the largest |node|: the many eigenvalues at
# zero come out on either side of it.
ZERO_NODE = 1e-6


@dataclass(frozen=True)
class Deflated:
    """Eigenvalues whose eigenvectors were taken out before the probes were drawn.

    Attributes:
        values: rising, shape (k,), eigenvalue units.
        residuals: ‖H y - θ y‖ of each.
        errors: by how much each misses its eigenvalue, an estimate.
    """

    values: FloatArray
    residuals: FloatArray
    errors: FloatArray

    def scaled(self, factor: float) -> "Deflated":
        """Return those of factor · H; ``factor`` >= 0."""
        return Deflated(self.values * factor, self.residuals * factor, self.errors * factor)

    @property
    def coupling(self) -> float:
        """A bound on ‖YᵀHv‖ of a unit v beside Y: it is (HY - YΘ)ᵀv, so no more than ‖HY - YΘ‖."""
        return float(np.linalg.norm(self.residuals))

    def displacements(self, found: FloatArray) -> FloatArray:
        """Return by how much eigenvalues beside Y are moved by it, to second order.

        Args:
            found: eigenvalues of the complement, shape (n,), eigenvalue units.
        """
        apart = np.abs(np.asarray(found)[:, None] - self.values)
        each = np.maximum(apart, self.residuals + np.finfo(np.float64).tiny)
        return np.asarray((self.residuals**2 / each).sum(-1))


@dataclass(frozen=True)
class Spectrum:
    """Quadrature of the spectral density of an operator, one rule for each random probe.

    Attributes:
        probes: the tridiagonal matrix of each probe.
        size: P, the number of eigenvalues.
        probe: distribution of the start vectors.
        deflated: eigenvalues, 1/P each, in whose complement the probes are; None: in none.

    Example:
        >>> import numpy as np
        >>> H = spectra.DenseOperator(torch.diag(torch.linspace(-1, 5, 50).double()))
        >>> spectrum, grid = spectra.slq(H, num_steps=20), np.linspace(-2, 6, 401)
        >>> density = spectrum.density(grid, sigma=0.2)
        >>> print(f"{density.sum() * (grid[1] - grid[0]):.3f}")
        1.000
    """

    probes: tuple[Tridiagonal, ...]
    size: int
    probe: str = "rademacher"
    deflated: Deflated | None = None

    @cached_property
    def nodes(self) -> FloatArray:
        """All Ritz values, rising, shape (sum of m,)."""
        return self._pooled[0]

    @cached_property
    def weights(self) -> FloatArray:
        """Their quadrature weights, averaged over the probes; they sum to 1."""
        return self._pooled[1]

    @cached_property
    def _pooled(self) -> tuple[FloatArray, FloatArray]:
        nodes = np.concatenate([t.ritz_values() for t in self.probes])
        weights = np.concatenate([t.quadrature_weights() for t in self.probes])
        weights /= len(self.probes)
        if self.deflated is not None:
            taken = len(self.deflated.values)
            nodes = np.concatenate([nodes, self.deflated.values])
            weights = np.append(weights * (1 - taken / self.size), np.full(taken, 1 / self.size))
        order = np.argsort(nodes, kind="stable")
        return nodes[order], weights[order]

    def moment_estimates(self, power: int) -> FloatArray:
        """Return each probe's estimate of tr(H^power) / P, shape (probes,); power < 2m."""
        each = np.array(
            [float(t.quadrature_weights() @ t.ritz_values() ** power) for t in self.probes]
        )
        if self.deflated is None:
            return each
        taken = len(self.deflated.values) / self.size
        return each * (1 - taken) + float((self.deflated.values**power).sum()) / self.size

    @property
    def complement(self) -> "Spectrum":
        """What the probes see: of P - k eigenvalues, where k were deflated."""
        if self.deflated is None:
            return self
        return Spectrum(self.probes, self.size - len(self.deflated.values), self.probe)

    @property
    def trace(self) -> float:
        """Hutchinson's estimate of tr H; :func:`spectra.trace_interval` is closer, and says how."""
        return float(self.size * self.moment_estimates(1).mean())

    @property
    def zero(self) -> float:
        """Size under which a node counts as zero, eigenvalue units: 1e-6 max|node|."""
        return ZERO_NODE * float(np.abs(self.nodes).max())

    def density(self, grid: FloatArray, sigma: float) -> FloatArray:
        """Return the density smoothed by a Gaussian, at ``grid``; it integrates to 1.

        Args:
            grid: where to evaluate, any shape, eigenvalue units.
            sigma: standard deviation of the Gaussian, eigenvalue units, > 0.
        """
        if not sigma > 0:
            raise InputError(f"sigma must be positive, got {sigma}")
        offsets = (np.asarray(grid, dtype=np.float64)[..., None] - self.nodes) / sigma
        bells = np.exp(-0.5 * offsets**2) / (sigma * np.sqrt(2 * np.pi))
        return np.asarray(bells @ self.weights)

    def reference_sigma(self) -> float:
        """Return the width used by PyHessian and the paper's code: sqrt(1e-5 · max(1, range)).

        The range is that of the Ritz values, λmax - λmin.
        """
        spread = float(self.nodes[-1] - self.nodes[0])
        return float(np.sqrt(1e-5 * max(1.0, spread)))

    def scaled(self, factor: float) -> "Spectrum":
        """Return the spectrum of factor · H; ``factor`` >= 0."""
        return Spectrum(
            tuple(
                Tridiagonal(t.alphas * factor, t.betas * factor, t.residual_beta * factor, t.closed)
                for t in self.probes
            ),
            self.size,
            self.probe,
            None if self.deflated is None else self.deflated.scaled(factor),
        )
