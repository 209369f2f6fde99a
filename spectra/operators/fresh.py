"""A new draw of the images at every product: the published protocol, which has no fixed matrix.

A training loader that is handed to a Hessian augments anew at each pass, so that every Lanczos step
multiplies by another matrix. The tridiagonal matrix is then no projection of any Hessian: where the
draws differ by more than the Hessian holds, α is small beside β, the spectrum comes out symmetric
and |λmin/λmax| tends to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from spectra.operators.hessian import HessianOperator
from spectra.operators.interface import SymmetricOperator

Draw = Callable[[], Tensor]


class FreshOperator(SymmetricOperator):
    """Products with the Hessian over another draw of the images each time.

    Args:
        op: over a first draw.
        draw: returns the next draw, of the shape of ``op.images``, normalised.

    Attributes:
        last: the Hessian over the last draw.
    """

    def __init__(self, op: HessianOperator, draw: Draw) -> None:
        self.last, self.draw = op, draw
        self.size, self.device, self.dtype, self.label = op.size, op.device, op.dtype, op.label
        self.parameter_slices = op.parameter_slices

    def matvec(self, v: Tensor) -> Tensor:
        """Return H v with the H of a new draw."""
        self.last.forget()  # of one draw alone is anything kept
        self.last = self.last.with_images(self.draw())
        return self.last.matvec(v)


class FreshBatches:
    """A loader whose every pass draws the images anew: what PyHessian was given.

    Args:
        draw: returns images (n, ...), normalised.
        index: what goes with them in place of labels, int64 (n,).
        batch_size: images a batch, in their order.
    """

    def __init__(self, draw: Draw, index: Tensor, batch_size: int) -> None:
        self.draw, self.index, self.batch_size = draw, index, batch_size

    def __len__(self) -> int:
        return -(-len(self.index) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images, index) of one draw."""
        images = self.draw()
        yield from zip(
            images.split(self.batch_size), self.index.split(self.batch_size), strict=True
        )
