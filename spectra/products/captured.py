"""Products recorded as CUDA graphs: a launch costs a GPU more than many a small kernel."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from spectra.products.interface import ChunkHessian, Products
from spectra.system.recording import Recorder, Recording

logger = logging.getLogger(__name__)
# Reasons that were said, once a process: a checkpoint has an operator for each of its classes.
_said: set[str] = set()

# Ours: kernels that are recorded are those that ran before, so that only the order of sums with
# atomic additions may differ; what was recorded wrongly differs by order 1.
REPLAY_AGREEMENT = 1e-4


class CapturedProducts(Products):
    """The products of another way, each chunk's recorded at its second product and replayed.

    A chunk whose work is not kept has no second product, and is not recorded. The first recording
    is compared with the product itself. Where recording fails, or gives something else, that is
    said once and all further products are made as they would be without.

    Args:
        products: makes them.
        recorder: records.
    """

    def __init__(self, products: Products, recorder: Recorder) -> None:
        self.name, self.stacks = products.name, products.stacks
        self.trained = products.trained
        self.products, self.recorder = products, recorder
        self.refused, self.compared = False, False

    def linearise(self, images: Tensor, labels: Tensor, weights: Tensor) -> ChunkHessian:
        """Do the primal work where recording will be done: a kept graph goes on where it began."""
        return CapturedChunk(
            self, self.recorder.warm_up(lambda: self.products.linearise(images, labels, weights))
        )

    def direction(self, vectors: Tensor) -> Tensor:
        """Return the vectors as they are: what is made of them is recorded with the product."""
        return vectors

    def refuse(self, reason: str) -> None:
        """Record no more, and say why."""
        self.refused = True
        if reason not in _said:
            _said.add(reason)
            logger.warning("products cannot be recorded here (%s); they are made without", reason)


class CapturedChunk(ChunkHessian):
    """One chunk of images, and the recordings of its products by the shape of their vectors."""

    def __init__(self, products: CapturedProducts, chunk: ChunkHessian) -> None:
        self.products, self.chunk = products, chunk
        self.recordings: dict[torch.Size, tuple[Tensor, Recording[Tensor]]] = {}
        self.seen: set[torch.Size] = set()

    def product(self, direction: Tensor) -> Tensor:
        """Return H v for each of the vectors."""
        products, shape = self.products, direction.shape
        if shape not in self.recordings:
            if products.refused:
                return self._made(direction)
            if shape not in self.seen:
                self.seen.add(shape)
                return products.recorder.warm_up(lambda: self._made(direction))
            if not self._record(direction):
                return self._made(direction)
        held, recording = self.recordings[shape]
        held.copy_(direction)
        recording.replay()
        # The next replay writes to the same memory.
        return recording.outcome.clone()

    def _made(self, vectors: Tensor) -> Tensor:
        products = self.products.products
        return self.chunk.product(products.direction(vectors))

    def _record(self, vectors: Tensor) -> bool:
        """Record a product of vectors of this shape; return whether that is right."""
        products, held = self.products, vectors.clone()
        try:
            recording = products.recorder.record(lambda: self._made(held))
        except RuntimeError as error:
            products.refuse(str(error).strip().partition("\n")[0])
            return False
        if not products.compared:
            products.compared = True
            recording.replay()
            expected = self._made(vectors)
            error_norm = float((recording.outcome - expected).norm())
            if not error_norm <= REPLAY_AGREEMENT * float(expected.norm()):
                products.refuse("a replayed product differs from the product itself")
                return False
        self.recordings[vectors.shape] = held, recording
        return True

    @property
    def nbytes(self) -> int:
        """Bytes of the chunk, and of the vector and the product that a recording will hold."""
        held = sum(p.numel() * p.element_size() for p in self.products.trained.values())
        return self.chunk.nbytes + 2 * held
