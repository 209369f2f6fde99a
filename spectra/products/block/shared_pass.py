"""Small losses whose products are asked for one by one, and made several in one pass."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from spectra.products.block.block_chunk import Batch, BlockChunk
from spectra.products.block.ways import Way
from spectra.products.captured import CapturedChunk, CapturedProducts
from spectra.products.interface import ChunkHessian, Products
from spectra.products.tangent.folding import Direction
from spectra.products.tangent.products import TangentProducts
from spectra.system.allocator import out_of_memory
from spectra.system.recording import Recorder

logger = logging.getLogger(__name__)

# Ours: relative to a product of the loss alone. Kernels differ by 1e-6 in float32; what is wrong
# differs by order 1.
AGREEMENT = 1e-4


class LossChunk(ChunkHessian):
    """The one chunk of a small loss: its primal work is done where its product is made.

    Args:
        products: that made it.
        batch: images, labels and weights.
    """

    def __init__(self, products: LossProducts, batch: Batch) -> None:
        self.products, self.batch = products, batch

    def product(self, direction: Tensor) -> Tensor:
        """Return H v, made together with those of other losses."""
        return self.products.ask(self, direction)

    def second_derivatives(self, direction: Tensor, *, by_image: bool = False) -> Tensor:
        """Return vᵀHv and the sizes of its terms, of this loss alone."""
        alone = self.products.alone
        made = alone.linearise(*self.batch)
        return made.second_derivatives(alone.direction(direction), by_image=by_image)

    def gradient(self) -> Tensor:
        """Return the gradient, of this loss alone."""
        return self.products.alone.linearise(*self.batch).gradient()

    @property
    def nbytes(self) -> int:
        """Nothing: the images are the operator's."""
        return 0


class LossProducts(Products):
    """Products of one small loss, for which somebody is asked.

    Args:
        alone: makes those of a loss alone.
        ask: returns the product of a chunk and a vector, (P,).
    """

    derives_twice = True

    def __init__(self, alone: TangentProducts, ask: Callable[[LossChunk, Tensor], Tensor]) -> None:
        self.name, self.trained, self.alone, self.ask = alone.name, alone.trained, alone, ask
        self.folds_norms, self.moves_only_layers = alone.folds_norms, alone.moves_only_layers
        self.tells_images_apart = alone.tells_images_apart

    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> LossChunk:
        """Return the chunk; nothing is computed yet."""
        return LossChunk(self, (images, labels, weights))

    def direction(self, vectors: Tensor) -> Tensor:
        """Return the vector as it is."""
        return vectors


class SharedPass:
    """B rows, in each of which a loss stands whose products are made with those of the others.

    The first pass is compared with a product of its first loss alone. Where it fails, or gives
    something else, that is said, and products are made one by one.

    Args:
        products: of the network, for this object alone.
        ways: of its steps.
        count: B.
        images: n, of a row.
        recorder: records the pass, which is then replayed; None: it is made anew each time.

    Attributes:
        refused: whether products are made one by one.
    """

    def __init__(
        self,
        products: TangentProducts,
        ways: Sequence[Way],
        *,
        count: int,
        images: int,
        recorder: Recorder | None = None,
    ) -> None:
        self.products, self.ways, self.count, self.images = products, ways, count, images
        self.recorder, self.refused, self._compared = recorder, False, False
        self._block: BlockChunk | None = None
        self._made: Callable[[], Tensor] = self._pass
        self._vectors = torch.empty(0)
        self._holders: list[LossChunk | None] = [None] * count
        self._alone: dict[int, tuple[LossChunk, ChunkHessian]] = {}

    def products_of(self, asked: Mapping[int, tuple[LossChunk, Tensor]]) -> dict[int, Tensor]:
        """Return H v, (P,), by row, of the chunk and the vector that each row asks for."""
        if not self.refused:
            try:
                found = self._together(asked)
                if self._compared or self._agrees(found, asked):
                    return found
                self._refuse("it differs from a product of the loss alone")
            except (RuntimeError, NotImplementedError) as error:
                if out_of_memory(error) or self._compared:
                    raise
                self._refuse(" ".join(str(error).split())[:200])
        return {row: self._product_alone(row, *one) for row, one in asked.items()}

    def _together(self, asked: Mapping[int, tuple[LossChunk, Tensor]]) -> dict[int, Tensor]:
        if self._block is None:
            self._block = self._begun(next(iter(asked.values()))[0].batch)
        for row, (chunk, _) in asked.items():
            if self._holders[row] is not chunk:
                self._block.fill(row, chunk.batch)
                self._holders[row] = chunk
        vectors = [v for _, v in asked.values()]
        rows = [asked[row][1] if row in asked else vectors[0] for row in range(self.count)]
        self._vectors = torch.stack(rows)
        found = self._made().unbind()
        return {row: found[row] for row in asked}

    def _begun(self, batch: Batch) -> BlockChunk:
        """Return the block; ``batch`` is of any loss."""
        first = torch.zeros(self.images, dtype=torch.int64, device=batch[1].device)
        images, labels, weights = (part.index_select(0, first) for part in batch)
        block = BlockChunk(self.products, self.ways, self.count, (images, labels, weights))
        if self.recorder is not None:
            recorded = CapturedChunk(CapturedProducts(self.products, self.recorder), block)
            self._made = lambda: recorded.product(self._vectors)
        return block

    def _pass(self) -> Tensor:
        assert self._block is not None
        direction: Direction = self.products.direction(self._vectors)
        return self._block.product(direction)

    def _agrees(
        self, found: Mapping[int, Tensor], asked: Mapping[int, tuple[LossChunk, Tensor]]
    ) -> bool:
        """Say whether the first product is that of its loss alone."""
        self._compared = True
        row = next(iter(asked))
        expected = self._product_alone(row, *asked[row])
        self._alone = {}
        difference = float((found[row] - expected).norm())
        # What is no number is that of the loss, and named where it is read.
        return not difference > AGREEMENT * float(expected.norm())

    def _product_alone(self, row: int, chunk: LossChunk, vector: Tensor) -> Tensor:
        holder, made = self._alone.get(row, (None, None))
        if made is None or holder is not chunk:
            made = self.products.linearise(*chunk.batch)
            self._alone[row] = chunk, made
        return made.product(self.products.direction(vector))

    def _refuse(self, reason: str) -> None:
        self.refused, self._block = True, None
        logger.warning("small losses cannot share a pass here (%s); they go one by one", reason)
