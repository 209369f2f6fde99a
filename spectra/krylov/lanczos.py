"""The Lanczos recurrence with full reorthogonalisation."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError, NonFiniteError, check_count
from spectra.krylov.basis import Basis, NoBasis, make_basis
from spectra.krylov.tolerance import negligible
from spectra.krylov.tridiagonal import FloatArray, Tridiagonal
from spectra.operators.interface import SymmetricOperator
from spectra.operators.matrices import check_operator

# Ours: a late check loses at most 4 products of the tens that a run makes.
_CUDA_CHECK_EVERY = 5


class Lanczos:
    """A Lanczos run that can be carried on: one basis vector and one product a step.

    The basis is stored, and its projections are taken, in the operator's dtype; α, β and the vector
    in work are float64. Each new vector is orthogonalised against all former ones, twice, which
    leaves them orthogonal to the rounding of that dtype. Storages that do otherwise:
    :mod:`spectra.krylov.basis`. ``basis="device"`` takes one vector of the operator's dtype a step.

    α and β stay where they are computed until they are asked for, and are checked when they are
    read: after every ``check_every`` steps, and by whatever gives a result. Where a check comes
    late, the run is cut back to the step that closed the space or failed; ``len`` counts steps
    that were not checked yet, and up to ``check_every`` - 1 products are lost.

    Args:
        op: operator on R^P; its symmetry is trusted, not checked.
        v0: start vector, shape (P,), finite and non-zero; not modified.
        basis: where vectors are kept, one of :data:`spectra.krylov.defaults.STORAGES`.
        capacity: vectors to make room for at once; None: as the run grows.
        check_every: steps between two readings; None: 1, and on CUDA, where a reading makes the
            processor wait for the card, 5.

    Raises:
        InputError: v0 or basis violates the above.
    """

    def __init__(
        self,
        op: SymmetricOperator,
        v0: Tensor,
        *,
        basis: str = "device",
        capacity: int | None = None,
        check_every: int | None = None,
    ) -> None:
        check_operator(op)
        op.check_vector(v0)
        norm = float(v0.double().norm())
        if not (np.isfinite(norm) and norm > 0):
            raise InputError(f"v0 must be finite and non-zero, its norm is {norm}")
        self.op = op
        self.storage = basis
        self._alphas: list[float] = []
        self._betas: list[float] = []
        self._unread: list[Tensor] = []
        self._closed = False
        self._eps = torch.finfo(op.dtype).eps
        self._every = check_every or (_CUDA_CHECK_EVERY if op.device.type == "cuda" else 1)
        self._basis: Basis | None = make_basis(op, basis, capacity)
        self._basis.append(v0.to(op.device).double() / norm)

    def __len__(self) -> int:
        return len(self._alphas) + len(self._unread)

    @property
    def pending(self) -> int:
        """Steps not checked yet, 0 on a CPU: asking what they found makes a card's queue wait."""
        return len(self._unread)

    @property
    def alphas(self) -> list[float]:
        """Diagonal of T so far."""
        self._read()
        return self._alphas

    @property
    def betas(self) -> list[float]:
        """Off-diagonal of T so far, and what couples it to the rest."""
        self._read()
        return self._betas

    @property
    def closed(self) -> bool:
        """Whether the Krylov space is invariant: no step would add anything."""
        self._read()
        return self._closed

    @property
    def basis(self) -> Basis:
        """The vectors: one a step, and one more while the space is not closed.

        Raises:
            InputError: a thick restart has taken them over.
        """
        if self._basis is None:
            raise InputError("a thick restart has taken this run's vectors; begin a new run")
        return self._basis

    def step(self) -> bool:
        """Make one step; return False, doing nothing, where the Krylov space has closed.

        Raises:
            NonFiniteError: the product held NaN or infinity.
        """
        if not self.can_step:
            return False
        if (found := self.basis.stepped(self.op)) is None:
            self.advance(self.op.matvec(self.basis.last()))
        else:
            self._unread.append(found)
            self._read()
        return True

    @property
    def can_step(self) -> bool:
        """Whether nothing is known yet that ends the run."""
        return not self._closed

    def advance(self, product: Tensor) -> None:
        """Make one step with the product of the newest vector, which the caller has made.

        Args:
            product: H times ``basis.last()``, shape (P,).

        Raises:
            NonFiniteError: it holds NaN or infinity.
        """
        basis = self.basis
        w = product.to(torch.float64, copy=True)
        del product  # of a large network each vector counts
        alpha = w @ basis.last().double()
        w = basis.orthogonalise(basis.orthogonalise(w))
        beta = w.norm()
        self._unread.append(torch.stack([alpha, beta]))
        steps = len(self)
        if len(self._unread) >= self._every or self._fills_space():
            if self.closed:  # reads
                return
            w.div_(self._betas[steps - 1])
        else:
            w.div_(beta)
        # Once more at length 1: where w was small, what is left of the basis has grown with it.
        q = basis.orthogonalise(w)
        basis.append(q.div_(q.norm()))

    def begin_new_block(self, vector: Tensor) -> bool:
        """Go on from a closed space with a new direction; return False where none is left.

        The new block is coupled to the old one by β = 0, so a start vector that happened to miss
        an eigenvector does not hide it. Without a basis (``none``) there is nothing to tell new
        from old by: False.

        Args:
            vector: shape (P,), random.
        """
        if not self.closed or len(self) == self.op.size or not self.basis.complete:
            return False
        q = vector.to(self.op.device).double()
        for _ in range(3):
            q = self.basis.orthogonalise(q / q.norm())
        self._closed = False
        self.basis.append(q / q.norm())
        return True

    def run(self, num_steps: int, *, on_step: Callable[[int], None] | None = None) -> "Lanczos":
        """Step until ``num_steps`` are done in all, or the space closes; return self."""
        self.run_until(lambda _: False, num_steps, on_step=on_step)
        return self

    def run_until(
        self,
        stop: Callable[["Lanczos"], bool],
        num_steps: int,
        *,
        on_step: Callable[[int], None] | None = None,
    ) -> bool:
        """Step until ``stop`` says so, ``num_steps`` are done in all, or the space closes.

        Args:
            stop: asked with this run, before the first step, between any two and after the last;
                but not while steps are :attr:`pending`, nor once the space has closed.
            num_steps: those that are done already included.
            on_step: called after each step with the steps done.

        Returns:
            Whether ``stop`` ended it.
        """
        while self.can_step:
            if not self.pending and stop(self):
                return True
            if len(self) >= num_steps:
                return False
            self.step()
            if on_step:
                on_step(len(self))
        return False

    def tridiagonal(self, *, since: int = 0) -> Tridiagonal:
        """Return the projection so far, or that of the block that began at step ``since``."""
        self._read()
        return Tridiagonal(
            np.array(self._alphas[since:]),
            np.array(self._betas[since:-1]),
            self._betas[-1],
            self._closed,
        )

    def ritz_vector(self, coefficients: FloatArray) -> Tensor:
        """Return Q s, shape (P,), float64, of length 1, for ``coefficients`` s of shape (m,)."""
        return self.unit_ritz_vectors(coefficients[:, None])[0]

    def unit_ritz_vectors(self, coefficients: FloatArray) -> list[Tensor]:
        """Return Q s, (P,), float64, of length 1, for each column s of ``coefficients`` (m, k).

        Cost: none of products; with ``basis="none"`` m of them, whatever k is.
        """
        self._read()
        if self.basis.complete:
            vectors = [self.basis.combine(s) for s in coefficients.T]
        else:
            assert isinstance(self.basis, NoBasis)
            vectors = list(self.basis.second_pass(self.op, self._betas, coefficients))
        return [vector.div_(vector.norm()) for vector in vectors]

    def ritz_vectors(self, coefficients: FloatArray) -> Tensor:
        """Return the columns of ``coefficients`` (m, k) as vectors, shape (k, P), in op's dtype."""
        self._read()
        if not self.basis.complete:
            return torch.stack(self.unit_ritz_vectors(coefficients)).to(self.op.dtype)
        return self.basis.combine_many(coefficients)

    def give_basis(self) -> Basis:
        """Hand the vectors over to a thick restart; T stays, but this run makes no more steps."""
        self._read()
        basis, self._basis = self.basis, None
        return basis

    def _fills_space(self) -> bool:
        """Say whether there is one vector a dimension; without a basis they may be dependent."""
        return self.basis.complete and len(self) == self.op.size

    def _read(self) -> None:
        """Read and check what steps have left on the device, cutting back to where one ended it."""
        if not self._unread:
            return
        rows = torch.stack(self._unread).tolist() if len(self._unread) > 1 else None
        rows = rows or [self._unread[0].tolist()]
        self._unread = []
        for alpha, beta in rows:
            if not np.isfinite(alpha):
                self.basis.truncate(len(self._alphas) + 1)
                step = len(self._alphas) + 1
                raise NonFiniteError(f"the product of Lanczos step {step} held NaN or infinity")
            self._alphas.append(alpha)
            scale = max(abs(a) for a in self._alphas) + max(self._betas, default=0.0)
            if negligible(beta, scale, self.op.size, self._eps) or self._fills_space():
                self._closed = True
                self._betas.append(0.0)
                self.basis.truncate(len(self._alphas))
                return
            self._betas.append(beta)


def lanczos_tridiag(op: SymmetricOperator, v0: Tensor, *, num_steps: int) -> Tridiagonal:
    """Run up to ``num_steps`` Lanczos steps on ``op`` with full reorthogonalisation.

    Cost: ``num_steps`` matvecs, O(num_steps² P) flops, ``num_steps`` stored vectors.

    Args:
        op: operator on R^P; its symmetry is trusted, not checked.
        v0: start vector, shape (P,), finite and non-zero; not modified.
        num_steps: Krylov dimension, 1 <= num_steps <= P (PyHessian: ``iter``, ARPACK: ``ncv``).

    Returns:
        alphas (m,) and betas (m-1,) in eigenvalue units (loss / parameter²); m < num_steps
        means that the Krylov space closed early, which is not an error.

    Raises:
        InputError: v0 or num_steps violates the above.
        NonFiniteError: a matvec returned NaN or inf.

    Source: Golub & Van Loan, Matrix Computations, 4th ed., ch. 10. Departure: Gram-Schmidt twice.

    Example:
        >>> H = spectra.DenseOperator(torch.diag(torch.tensor([1.0, 2.0, 4.0]).double()))
        >>> spectra.lanczos_tridiag(H, torch.ones(3), num_steps=3).ritz_values().round(6).tolist()
        [1.0, 2.0, 4.0]
    """
    check_operator(op)
    check_count("num_steps", num_steps, op.size)
    return Lanczos(op, v0).run(num_steps).tridiagonal()
