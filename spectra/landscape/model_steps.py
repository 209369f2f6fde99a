"""The best step within a radius by the quadratic model of a loss, and the best without bending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError, NonFiniteError, check_count
from spectra.krylov.rayleigh_quotients import Eigenpair
from spectra.krylov.tridiagonal import FloatArray
from spectra.landscape.trust_region import BestStep, best_step
from spectra.operators.interface import SymmetricOperator

# Ours: for TOLERANCE 3 to 6 products were enough on 80 classes of the digits networks, and 2 to 10
# on eight of CIFAR-10's.
MOST_PRODUCTS = 12
# Ours: of a decrease, for a sentence in percents.
TOLERANCE = 0.02
# Ours: a direction counts as inside a span when so little of it is outside.
_INSIDE = 1e-10


@dataclass(frozen=True)
class ModelStep:
    """A step that the quadratic model gᵀs + ½ sᵀHs recommends.

    Attributes:
        step: s, shape (P,), float64.
        bent: the part of s along directions of negative curvature, shape (P,).
        decrease: what the model that chose s promises, loss units.
        bent_decrease: ½ |bentᵀ H bent|: what negative curvature adds to the decrease along s.
    """

    step: Tensor
    bent: Tensor
    decrease: float
    bent_decrease: float


@dataclass(frozen=True)
class ModelSteps:
    """The best steps of length at most r, with negative curvature and with it cut off.

    Attributes:
        with_bending: by gᵀs + ½ sᵀHs.
        without: by gᵀs + ½ sᵀH₊s: negative eigenvalues of the projected matrix are 0. The same
            object where there are none.
        products: made for both.
        converged: both decreases are known to the tolerance, or the Krylov space is closed.
    """

    with_bending: ModelStep
    without: ModelStep
    products: int
    converged: bool


def model_steps(
    op: SymmetricOperator,
    gradient: Tensor,
    radius: float,
    *,
    known: Sequence[Eigenpair] = (),
    max_products: int = MOST_PRODUCTS,
    on_made: Callable[[int], None] | None = None,
) -> ModelSteps:
    """Return the best steps within a radius by the quadratic model, with bending and without.

    The space is spanned by the known eigenvectors and a Lanczos basis from what the gradient has
    outside of them. The known ones cost no product: all that the projected matrix needs of them is
    their value, and the products with the others. λmin among them is what makes the step with
    bending right: a Krylov space from the gradient alone does not see it where g is orthogonal to
    it (the hard case), and hardly where it is small.

    It stops where the residual bounds the missing decrease by the tolerance, or where neither
    decrease has changed by more than that in two products running.

    Cost: up to ``max_products`` products, 3 to 6 most often; ``max_products`` + 2 vectors.

    Args:
        op: H.
        gradient: g, shape (P,).
        radius: r > 0, parameter units.
        known: orthonormal eigenvectors of ``op`` with their values, λmin first. They are taken to
            have no product with each other, which is so to within their residuals.
        max_products: limit on the products.
        on_made: called with their number after each.

    Raises:
        InputError: a shape or a number is not as above.
        NonFiniteError: a product held NaN or infinity.

    Source: Gould, Lucidi, Roma & Toint 1999 (GLTR). Departures: the space is augmented by known
    eigenvectors, and the small problem is dense.

    Example:
        >>> H = spectra.DenseOperator(torch.diag(torch.tensor([-1.0, 2.0, 5.0]).double()))
        >>> found = model_steps(H, torch.tensor([0.0, 0.2, 0.0]).double(), 0.1)
        >>> round(found.with_bending.decrease, 6), round(found.without.decrease, 6)
        (0.01, 0.01)
    """
    op.check_vector(gradient)
    check_count("max_products", max_products)
    if not (radius > 0 and np.isfinite(radius)):
        raise InputError(f"radius must be positive and finite, got {radius}")
    space = _Space(op, gradient, known, max_products)
    model = _Model(space, radius)
    while not model.settled() and len(space.followed) < max_products and space.extend():
        model.solve()
        if on_made:
            on_made(len(space.followed))
    best = model.step(model.best)
    flat = best if model.flat is model.best else model.step(model.flat)
    return ModelSteps(best, flat, len(space.followed), model.settled())


class _Space:
    """A growing orthonormal basis, and H projected on it.

    Args:
        op: H.
        gradient: g.
        known: eigenpairs that open the basis.
        most: products that it may grow by.

    Attributes:
        matrix: the projected H, shape (m, m).
        slope: the projected g, shape (m,).
        residuals: ‖H b - its part in the span‖ of each known b.
        followed: for each product, how much of it is outside of the span.
        closed: nothing is left to grow by.
    """

    def __init__(
        self, op: SymmetricOperator, gradient: Tensor, known: Sequence[Eigenpair], most: int
    ) -> None:
        self.op = op
        self._basis = torch.empty(
            (len(known) + min(most, op.size), op.size), dtype=op.dtype, device=op.device
        )
        self._gradient = gradient.to(op.device, torch.float64)
        for row, pair in zip(self._basis, known, strict=False):
            row.copy_(pair.vector)
        self.matrix: FloatArray = np.diag([pair.value for pair in known]).astype(np.float64)
        self.residuals = [pair.residual_norm for pair in known]
        self.followed: list[float] = []
        self.slope = self._inside(self._gradient)
        self._take_next(self._gradient)

    @property
    def vectors(self) -> Tensor:
        """The basis, shape (m, P)."""
        return self._basis[: len(self.matrix)]

    def extend(self) -> bool:
        """Add the next vector and its product; say whether there was one."""
        m = len(self.matrix)
        if self.closed or m == len(self._basis):
            return False
        self._basis[m] = self._next
        product = self.op.matvec(self._basis[m]).double()
        grown = np.zeros((m + 1, m + 1))
        grown[:m, :m] = self.matrix
        self.matrix = grown
        column = self._inside(product)
        if not np.isfinite(column).all():
            raise NonFiniteError(f"product {len(self.followed) + 1} held NaN or infinity")
        grown[m], grown[:, m] = column, column
        self.slope = self._inside(self._gradient)
        self.followed.append(self._take_next(product))
        return True

    def combined(self, coefficients: FloatArray) -> Tensor:
        """Return the vector of the span that has these coefficients, shape (P,), float64."""
        row = torch.from_numpy(np.ascontiguousarray(coefficients)).to(self.vectors)
        return (row @ self.vectors).double()

    def _inside(self, v: Tensor) -> FloatArray:
        found: FloatArray = (self.vectors @ v.to(self.op.dtype)).double().cpu().numpy()
        return found

    def _take_next(self, v: Tensor) -> float:
        """Keep what ``v`` has outside of the span, of length 1; return how long it was."""
        before = float(v.norm())
        for _ in range(2):
            v = v - ((self.vectors @ v.to(self.op.dtype)) @ self.vectors).double()
        left = float(v.norm())
        inside = max(_INSIDE, torch.finfo(self.op.dtype).eps)
        self.closed = not left > inside * before or len(self.matrix) >= self.op.size
        if not self.closed:
            self._next = v / left
        return 0.0 if self.closed else left


class _Model:
    """Both small problems, solved anew whenever the space has grown.

    Args:
        space: that grows.
        radius: r.

    Attributes:
        best: the step with bending.
        flat: the step without.
    """

    def __init__(self, space: _Space, radius: float) -> None:
        self._space, self._radius = space, radius
        self._decreases: list[tuple[float, float]] = []
        self.solve()

    def solve(self) -> None:
        """Solve both problems in the space as it is."""
        matrix, slope = self._space.matrix, self._space.slope
        if not len(matrix):
            self.best = self.flat = BestStep(np.zeros(0), 0.0, 0.0)
        else:
            values, vectors = np.linalg.eigh(matrix)
            self._values, self._bent = values, vectors[:, values < 0]
            self.best = best_step(matrix, slope, self._radius)
            self.flat = self.best
            if values[0] < 0:
                cut = (vectors * np.maximum(values, 0.0)) @ vectors.T
                self.flat = best_step(cut, slope, self._radius)
        self._decreases.append((self.best.decrease, self.flat.decrease))

    def settled(self) -> bool:
        """Say whether both decreases are known to the tolerance."""
        if self._space.closed:
            return True
        allowed = TOLERANCE * self.best.decrease
        steady = [False, False]
        if len(self._decreases) > 2:
            changes = np.abs(np.diff(self._decreases[-3:], axis=0)).max(axis=0)
            steady = (changes <= allowed).tolist()
        # m₊(s) - m(s) <= ½ |λmin| r² for every s, so the two decreases differ by no more.
        apart = 0.5 * max(0.0, -self._lowest()) * self._radius**2
        return (steady[0] or self._missing() <= allowed) and (steady[1] or apart <= allowed)

    def _missing(self) -> float:
        """Return what the decrease with bending may still grow by, at most.

        By the convexity of m(s) + ½ σ ‖s‖², whose gradient at the step is the residual ρ: at most
        2 r ‖ρ‖, and ‖ρ‖² / 2 (σ + λmin).
        """
        if not self._space.followed:
            return np.inf
        outside = [*self._space.residuals, *[0.0] * len(self._space.followed)]
        outside[-1] = self._space.followed[-1]
        residual = float(np.abs(self.best.step) @ np.array(outside))
        gap = self.best.multiplier + self._lowest()
        return min(2 * self._radius * residual, residual**2 / (2 * gap) if gap > 0 else np.inf)

    def _lowest(self) -> float:
        return float(self._values[0]) if len(self._space.matrix) else 0.0

    def step(self, found: BestStep) -> ModelStep:
        """Return a step of the space as a vector, and its part along negative curvature."""
        space = self._space
        if not len(space.matrix):
            nothing = torch.zeros(space.op.size, dtype=torch.float64, device=space.op.device)
            return ModelStep(nothing, nothing, 0.0, 0.0)
        bent = self._bent @ (self._bent.T @ found.step)
        added = -0.5 * float(bent @ space.matrix @ bent)
        return ModelStep(
            space.combined(found.step), space.combined(bent), found.decrease, max(0.0, added)
        )
