"""PyHessian's recurrence written out, and what becomes of its T where one thing of it is changed.

Its 0.1 takes β as the length of w before w is orthogonalised against the former vectors. Of a fixed
matrix nothing is left to take out. Of products that change, the β v_before that was subtracted
comes back: ⟨v_before, Hv⟩ of a new draw has nothing to do with the β of the draw before, so that β
never decays. And as most of w is taken out each time, one pass over the former vectors no longer
leaves the next one orthogonal to them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError, NonFiniteError, check_count
from spectra.krylov.tridiagonal import FloatArray, Tridiagonal
from spectra.operators.interface import SymmetricOperator
from spectra.system.progress import Progress

# What T may be made of: as published; β after orthogonalising; every α 0; β as published without
# the part of w along the vector before.
BEFORE, AFTER, ALPHAS_ZERO, WITHOUT_RETURNED = VARIANTS = (
    "before", "after", "alphas_zero", "without_returned",
)  # fmt: skip


@dataclass(frozen=True)
class Arithmetic:
    """How the recurrence computes.

    Attributes:
        dtype: of its vectors; products are in the operator's dtype.
        added_to_norm: what a length gets added before a vector is divided by it.
        passes: over the former vectors, each time that one is orthogonalised.
        by_parameter: sum inner products parameter by parameter, as PyHessian does.
    """

    dtype: torch.dtype
    added_to_norm: float
    passes: int
    by_parameter: bool = False


_SINGLE, _DOUBLE = torch.float32, torch.float64
# By name. ``published`` is PyHessian 0.1's own: with its products, the α and β of the package. The
# others change one thing of it each. ``float64`` is exact arithmetic to rounding: two passes leave
# vectors orthogonal (Giraud et al. 2005); one pass does not where most of w is taken out.
ARITHMETICS = {
    "published": Arithmetic(_SINGLE, 1e-6, 1, by_parameter=True),
    "float32-once": Arithmetic(_SINGLE, 0.0, 1, by_parameter=True),
    "float32-twice": Arithmetic(_SINGLE, 1e-6, 2, by_parameter=True),
    "float64-once": Arithmetic(_DOUBLE, 0.0, 1),
    "float64-once+1e-6": Arithmetic(_DOUBLE, 1e-6, 1),
    "float64": Arithmetic(_DOUBLE, 0.0, 2),
}
PUBLISHED, EXACT = ARITHMETICS["published"], ARITHMETICS["float64"]


@dataclass(frozen=True)
class PublishedRecurrence:
    """What a run leaves; all in eigenvalue units (loss / parameter²).

    Attributes:
        alphas: ⟨Hv, v⟩ of each step, shape (m,).
        betas_before: length of w before it is orthogonalised, shape (m,); the last one couples the
            space to the rest.
        betas_after: length of w after that, shape (m,).
        returned: ⟨v_before, w⟩ once β v_before is subtracted, shape (m,), 0 in the first step: 0
            for a fixed matrix.
    """

    alphas: FloatArray
    betas_before: FloatArray
    betas_after: FloatArray
    returned: FloatArray

    def __len__(self) -> int:
        return len(self.alphas)

    @property
    def returned_shares(self) -> FloatArray:
        """The part of each β² that is what came back along the vector before, from step 2 on."""
        squares = self.betas_before[1:] ** 2
        return np.divide(
            self.returned[1:] ** 2, squares, out=np.zeros_like(squares), where=squares > 0
        )

    def tridiagonal(self, variant: str = BEFORE, num_steps: int | None = None) -> Tridiagonal:
        """Return T after some steps.

        In exact arithmetic the vectors are the same whichever β is taken: each is orthogonalised
        and normalised. So T is what a run with that β would have left.

        Args:
            variant: one of :data:`VARIANTS`.
            num_steps: the first of them; None: all.

        Raises:
            InputError: there is no such variant, or num_steps is not at least 1.

        Example:
            >>> import torch
            >>> import spectra
            >>> from spectra.engines.published_recurrence import published_recurrence
            >>> H = spectra.DenseOperator(torch.diag(torch.tensor([-1.0, 2.0, 5.0]).double()))
            >>> run = published_recurrence(H, torch.ones(3).double(), num_steps=3)
            >>> [run.tridiagonal(v).ritz_values().round(6).tolist() for v in ("before", "after")]
            [[-1.0, 2.0, 5.0], [-1.0, 2.0, 5.0]]
        """
        if variant not in VARIANTS:
            raise InputError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
        if num_steps is not None:
            check_count("num_steps", num_steps)
        m = len(self) if num_steps is None else min(num_steps, len(self))
        betas = self.betas_before
        if variant == AFTER:
            betas = self.betas_after
        elif variant == WITHOUT_RETURNED:
            betas = np.sqrt(np.maximum(betas**2 - self.returned**2, 0.0))
        alphas = np.zeros(m) if variant == ALPHAS_ZERO else self.alphas[:m]
        return Tridiagonal(alphas, betas[: m - 1], float(betas[m - 1]), closed=False)


def published_recurrence(
    op: SymmetricOperator,
    start: Tensor,
    *,
    num_steps: int,
    arithmetic: Arithmetic = EXACT,
    on_progress: Progress | None = None,
) -> PublishedRecurrence:
    """Run the recurrence, and keep each β before and after orthogonalising.

    Cost: ``num_steps`` matvecs, O(num_steps² P) flops, ``num_steps`` + 1 stored vectors.

    Args:
        op: operator on R^P; one of products that change too (:class:`spectra.FreshOperator`).
        start: shape (P,), finite and non-zero; not modified. Published: random signs.
        num_steps: 1 <= num_steps; published: 100.
        arithmetic: one of :data:`ARITHMETICS`; :data:`PUBLISHED` over
            :class:`spectra.PyHessianOperator` is PyHessian itself.
        on_progress: called with ("", steps done, steps planned).

    Returns:
        What each step left; fewer than ``num_steps`` where w became 0 exactly.

    Raises:
        InputError: start or num_steps violates the above.
        NonFiniteError: a product held NaN or infinity.

    Source: PyHessian 0.1, ``density``. Departure: where w is 0 exactly it goes on from a random
        vector, and this ends.
    """
    check_count("num_steps", num_steps)
    op.check_vector(start)
    first = start.to(op.device, arithmetic.dtype)
    size = float(first.norm())
    if not (np.isfinite(size) and size > 0):
        raise InputError(f"start must be finite and non-zero, its norm is {size}")
    space = _Space(op, arithmetic)
    space.add(first.clone())
    alphas, before, after, returned = [], [], [], []
    beta: Tensor | None = None
    for step in range(num_steps):
        v = space.vectors[-1]
        # Of its own, as PyHessian's steps work in place.
        w = op.matvec(v.to(op.dtype)).to(arithmetic.dtype).clone()
        alpha = space.dot(w, v)
        w.add_(v * -alpha)
        if beta is not None:
            w.add_(space.vectors[-2] * -beta)
        returned.append(0.0 if beta is None else float(space.dot(w, space.vectors[-2])))
        beta = space.dot(w, w).sqrt()
        alphas.append(float(alpha))
        before.append(float(beta))
        if not (np.isfinite(alphas[-1]) and np.isfinite(before[-1])):
            raise NonFiniteError(f"step {step + 1} of the recurrence gave NaN or infinity")
        space.orthogonalise(w)
        after.append(space.add(w))
        if on_progress:
            on_progress("", step + 1, num_steps)
        if before[-1] == 0:
            break
    return PublishedRecurrence(*(np.array(kept) for kept in (alphas, before, after, returned)))


class _Space:
    """The vectors of a run, and the arithmetic with them."""

    def __init__(self, op: SymmetricOperator, arithmetic: Arithmetic) -> None:
        self.arithmetic = arithmetic
        known = op.parameter_slices if arithmetic.by_parameter else None
        self.parts = [slice(None)] if known is None else list(known.slices.values())
        self.vectors: list[Tensor] = []

    def dot(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ⟨x, y⟩, parts summed in their order."""
        if len(self.parts) == 1:
            return x @ y
        return sum(((x[part] * y[part]).sum() for part in self.parts), torch.zeros_like(x[0]))

    def orthogonalise(self, w: Tensor) -> None:
        """Take the former vectors out of ``w``, in place, one after the other."""
        for _ in range(self.arithmetic.passes):
            for v in self.vectors:
                w.add_(v * -self.dot(w, v))

    def add(self, w: Tensor) -> float:
        """Normalise ``w`` and keep it; return its length."""
        length = float(self.dot(w, w) ** 0.5)
        divisor = length + self.arithmetic.added_to_norm
        self.vectors.append(w / divisor if divisor > 0 else w)
        return length
