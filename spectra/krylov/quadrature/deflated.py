"""Probes on the complement of what a run before them has resolved."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from spectra.krylov.lanczos import Lanczos
from spectra.krylov.probes import draw_probe, probe_runs
from spectra.krylov.quadrature.resolved import resolve
from spectra.krylov.spectrum import Deflated, Spectrum
from spectra.operators.interface import SymmetricOperator
from spectra.system.progress import Progress


class Complement(SymmetricOperator):
    """(I - YYᵀ) H (I - YYᵀ): an operator on what is orthogonal to some vectors.

    Cost of a product: one of H, and 4kP flops for the projections.

    Args:
        op: H.
        vectors: Yᵀ, orthonormal rows, shape (k, P); k may be 0.
    """

    def __init__(self, op: SymmetricOperator, vectors: Tensor) -> None:
        self.op = op
        self.size, self.device, self.dtype, self.label = op.size, op.device, op.dtype, op.label
        self.vectors_a_pass = op.vectors_a_pass
        self._rows = vectors.to(op.device, op.dtype)

    def project(self, v: Tensor) -> Tensor:
        """Return (I - YYᵀ) v of a vector, or of rows."""
        return v - (v @ self._rows.T) @ self._rows

    def matvec(self, v: Tensor) -> Tensor:
        """Return the product with ``v`` of shape (P,)."""
        return self.project(self.op.matvec(self.project(v)))

    def matmat(self, vectors: Tensor) -> Tensor:
        """Return the product with each row of ``vectors``, shape (K, P)."""
        return self.project(self.op.matmat(self.project(vectors)))


def deflated_quadrature(
    op: SymmetricOperator,
    generator_of: Callable[[int], torch.Generator],
    *,
    num_probes: int,
    num_steps: int,
    together: bool = False,
    on_progress: Progress | None = None,
) -> Spectrum:
    """Return a density whose first probe finds what the others are spared.

    The eigenvectors that the run of the first probe has resolved are taken out of the space in
    which the others are drawn. These are fresh: what the first run has beside them is biased by
    which it resolved, and is left out.

    Cost: ``num_probes`` · ``num_steps`` products; the vectors of one run, and of what is resolved.

    Args:
        op: symmetric operator on R^P.
        generator_of: returns the source of probe k.
        num_probes: at least 2.
        num_steps: of each, at most P.
        together: step the fresh probes together.
        on_progress: called after each step with ("", steps done, steps in all).

    Source: Chen & Hallman 2023, Krylov-aware stochastic trace estimation; Bhattacharjee, Jayaram,
    Musco, Musco & Ray 2024, Improved spectral density estimation via explicit and implicit
    deflation. Departure: a resolved eigenvalue has the mass 1/P, for it is one.
    """

    def begin_first(k: int) -> Lanczos:
        return Lanczos(op, draw_probe(op.size, probe="normal", generator=generator_of(k)))

    total = num_probes * num_steps
    progress = None if on_progress is None else _of_all(on_progress, 0, total)
    (first,) = probe_runs(begin_first, num_probes=1, num_steps=num_steps, on_progress=progress)
    t = first.tridiagonal()
    found = resolve(Spectrum((t,), op.size, "normal"))
    places = np.searchsorted(t.ritz_values(), found.values)
    rows = torch.zeros((0, op.size), dtype=torch.float64)
    if len(places):
        vectors = first.unit_ritz_vectors(t.ritz_coefficients()[:, places])
        rows = torch.linalg.qr(torch.stack(vectors).T).Q.T
    first.give_basis()
    if len(found) == op.size:
        return Spectrum((t,), op.size, "normal")
    within = Complement(op, rows)

    def begin(k: int) -> Lanczos:
        start = draw_probe(op.size, probe="normal", generator=generator_of(k + 1))
        return Lanczos(within, within.project(start.to(op.device, op.dtype)))

    runs = probe_runs(
        begin,
        num_probes=num_probes - 1,
        num_steps=min(num_steps, op.size - len(found)),
        together=together,
        on_progress=None if on_progress is None else _of_all(on_progress, num_steps, total),
    )
    taken = Deflated(found.values, found.residuals, found.errors)
    return Spectrum(tuple(run.tridiagonal() for run in runs), op.size, "normal", taken)


def _of_all(on_progress: Progress, before: int, total: int) -> Progress:
    """Return what reports steps of a part as steps of the whole."""

    def report(text: str, done: int, _: int) -> None:
        on_progress(text, before + done, total)

    return report
