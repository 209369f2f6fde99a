"""The reference protocol: what PyHessian's own loops would spend on one loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cli.bench.comparison.converged_extremes import ReferenceFile
from cli.bench.comparison.product_table import ALLOWED_ERROR
from spectra import HessianOperator, PyHessianOperator, make_generator
from spectra.engines.pyhessian import on_its_card
from spectra.errors import SpectraError
from spectra.system.seeding import derive_seed

# The published script's: PyHessian's defaults.
MAX_ITERATIONS = 100
TOLERANCE = 1e-3
# PyHessian's density(iter=100, n_v=1) makes a product in each of its iterations, whatever they
# find: its loop has no test for convergence. So it is counted and not run.
DENSITY_PRODUCTS = 100


@dataclass(frozen=True)
class ProtocolCount:
    """Products over all images.

    Attributes:
        eigenvalues: of ``eigenvalues(maxIter=100, tol=1e-3, top_n=1)``: power iteration.
        trace: of ``trace(maxIter=100, tol=1e-3)``: Hutchinson; 2 where the trace is negative.
        density: of ``density(iter=100, n_v=1)``.
    """

    eigenvalues: int
    trace: int
    density: int = DENSITY_PRODUCTS

    @property
    def total(self) -> int:
        """Products in all."""
        return self.eigenvalues + self.trace + self.density


def count_protocol(
    op: HessianOperator, host: HessianOperator, *, seed: int, key: str, file: ReferenceFile
) -> ProtocolCount:
    """Run PyHessian's loops over our products and count what they ask for.

    Its own product is made once and compared with ours: the loops then are as long over either.

    Args:
        op: makes the products.
        host: the same loss, in the batches that PyHessian takes; it gets its own copy.
        seed: of the global generator, which is put back afterwards.
        key: under which ``file`` keeps the count.
        file: of counts.

    Raises:
        SpectraError: one product of PyHessian differs from ours.
    """
    part = f"pyhessian products, seed {seed}"
    kept = file.get(key, part)
    if kept is not None:
        return ProtocolCount(*kept)
    adapter = PyHessianOperator(host)
    _check_agreement(op, adapter)
    peer, asked = adapter.peer, 0

    def counted(vector: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
        nonlocal asked
        asked += 1
        flat = torch.cat([piece.detach().reshape(-1) for piece in vector]).to(op.dtype)
        product = op.matvec(flat)
        return float(product @ flat), op.unflatten(product)

    peer.dataloader_hv_product = counted
    devices = [op.device] if op.device.type == "cuda" else []
    counts = []
    # PyHessian draws from the global generator, and makes vectors on the current card.
    with on_its_card(op.device), torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive_seed(seed, "bench protocol", key) % 2**32)
        for loop in (peer.eigenvalues, peer.trace):
            asked = 0
            loop(maxIter=MAX_ITERATIONS, tol=TOLERANCE)
            counts.append(asked)
    file.put(key, part, counts)
    return ProtocolCount(*counts)


def _check_agreement(op: HessianOperator, adapter: PyHessianOperator) -> None:
    generator = make_generator(0, "bench protocol check")
    v = torch.randn(op.size, generator=generator).to(op.device, op.dtype)
    ours, theirs = op.matvec(v).double(), adapter.matvec(v).double()
    # Two products of the allowed error each.
    error = float((ours - theirs).norm() / ours.norm())
    if not error <= 2 * ALLOWED_ERROR[op.dtype]:
        raise SpectraError(f"a product of PyHessian differs from ours by {error:.1e} of its length")
