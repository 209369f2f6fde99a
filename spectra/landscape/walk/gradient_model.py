"""The linear model of the gradient around a point, in a Krylov space, and its shortest steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from spectra.krylov.lanczos import Lanczos
from spectra.krylov.tridiagonal import FloatArray
from spectra.operators.interface import SymmetricOperator

# Ours: singular values of the projected Hessian under it, relative to the largest, are rounding.
_RANK = 1e-13
_BISECTIONS = 100


@dataclass(frozen=True)
class GradientStep:
    """A step p that makes the model of the gradient, g + H p, as short as it can.

    Attributes:
        step: p, shape (P,), float64.
        length: ‖p‖.
        left: ‖g + H p‖ / ‖g‖ of the model.
        confined: the radius kept it from being longer.
    """

    step: Tensor = field(repr=False)
    length: float
    left: float
    confined: bool


class GradientModel:
    """g + H p, for p in the Krylov space of H and g, which grows as it is asked to.

    The step minimises ‖g + H p‖ within a radius: a Levenberg-Marquardt step on ‖g‖², and MINRES
    where the radius is wide. It goes to saddles as it goes to minima.

    Cost: a product a dimension of the space; none for a step.

    Args:
        op: H.
        gradient: g, shape (P,), not zero.

    Source: Levenberg 1944; Marquardt 1963; the Krylov space as in Paige & Saunders 1975.
    """

    def __init__(self, op: SymmetricOperator, gradient: Tensor) -> None:
        self.gradient, self.grad_norm = gradient, float(gradient.norm())
        self._op = op
        self._run = Lanczos(op, gradient.to(op.dtype))

    def __len__(self) -> int:
        return len(self._run)

    @property
    def closed(self) -> bool:
        """Whether the space holds all that g has a component of."""
        return self._run.closed

    def grow(self, num_steps: int) -> None:
        """Have ``num_steps`` dimensions in all, or as many as there are."""
        self._run.run(num_steps)

    def step(self, radius: float, *, spare: float = 0.0) -> GradientStep:
        """Return the shortest step that is as good as any of at most ``radius``, but for ``spare``.

        Args:
            radius: most that ‖p‖ may be.
            spare: how much more of g may be left, relative to ‖g‖, for the sake of a shorter step:
                what the last bit of the gradient asks for may lie far away in flat directions.
        """
        y, left, confined = self._coefficients(radius, spare)
        return GradientStep(self._run.basis.combine(y), float(np.linalg.norm(y)), left, confined)

    def residual(self, step: GradientStep) -> Tensor:
        """Return g + H p, shape (P,), float64; a product."""
        return self.gradient + self.product(step.step)

    def product(self, v: Tensor) -> Tensor:
        """Return H v, shape (P,), float64; a product."""
        return self._op.matvec(v.to(self._op.dtype)).double()

    def left(self, radius: float) -> float:
        """Return ‖g + H p‖ / ‖g‖ of the best step that is at most ``radius`` long."""
        return self._coefficients(radius)[1]

    @property
    def largest(self) -> float:
        """Largest |θ| of the Ritz values, eigenvalue units."""
        return float(np.abs(self._run.tridiagonal().ritz_values()).max())

    def newton_decrement(self) -> float:
        """Return gᵀH₊⁻¹g over the positive Ritz values, in the units of the loss."""
        t = self._run.tridiagonal()
        values, weights = t.ritz_values(), t.quadrature_weights()
        counted = values > _RANK * np.abs(values).max()
        return float((weights[counted] / values[counted]).sum()) * self.grad_norm**2

    def _coefficients(self, radius: float, spare: float = 0.0) -> tuple[FloatArray, float, bool]:
        t = self._run.tridiagonal()
        m = len(t)
        rows = np.zeros((m + 1, m))
        rows[:m] = t.matrix()
        rows[m, m - 1] = t.residual_beta
        left, values, right = np.linalg.svd(rows, full_matrices=False)
        kept = values > _RANK * float(values[0])
        if not kept.any():  # H g = 0
            return np.zeros(m), 1.0, False
        left, values, right = left[:, kept], values[kept], right[kept]
        against = self.grad_norm * left[0]
        target = np.zeros(m + 1)
        target[0] = self.grad_norm
        outside = float(np.linalg.norm(target - left @ against))

        def along(damping: float) -> FloatArray:
            found: FloatArray = -values * against / (values**2 + damping)
            return found

        def rest(damping: float) -> float:
            inside = damping / (values**2 + damping) * against
            return float(np.hypot(outside, np.linalg.norm(inside))) / self.grad_norm

        most = float(values[0]) ** 2 * 1e6  # no step to speak of
        damping = 0.0
        confined = float(np.linalg.norm(along(0.0))) > radius
        if confined:
            damping = _root(lambda x: np.linalg.norm(along(x)) <= radius, _RANK**2 * most, most)
        if spare > 0:
            allowed = rest(damping) + spare
            if rest(_RANK**2 * most) <= allowed:
                other = _root(lambda x: rest(x) > allowed, _RANK**2 * most, most)
                damping = max(damping, other)
        y = right.T @ along(damping)
        return y, rest(damping), confined


def _root(past: Callable[[float], bool | np.bool_], low: float, high: float) -> float:
    """Return where ``past``, false at ``low``, becomes true, on a scale of logarithms."""
    for _ in range(_BISECTIONS):
        middle = (low * high) ** 0.5
        if past(middle):
            high = middle
        else:
            low = middle
    return high
