"""Small losses of one network analyzed several at once on one device: they share each pass.

A class of 5 images does not fill a card, whose time goes into launches; sixteen of them take hardly
more. Each loss has a Lanczos run of its own, with its own stopping rule and its own proof. Runs go
in step: what they ask to be multiplied next is multiplied together. Where one is done, the next
loss takes its place. What a loss's result is depends neither on which others there are nor on how
they are placed, but for the rounding of the device's kernels.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spectra.classes.many.in_turn import InTurn
from spectra.classes.many.questions import Question, first_run_beside
from spectra.classes.many.small_loss import Judging, SmallLoss
from spectra.engines.forecasts.needed import BENDING, BOOTSTRAP
from spectra.engines.memory import default_limit, planned_memory, room_for
from spectra.engines.settings import SolverSettings
from spectra.errors import NonFiniteError
from spectra.findings.loss_analysis import LossAnalysis
from spectra.krylov.basis.rows_of_runs import RowsOfRuns
from spectra.operators.curvatures import images_are_told_apart
from spectra.operators.hessian import HessianOperator
from spectra.operators.many_losses.same_network import Networks
from spectra.products import Products
from spectra.products.block.shared_pass import LossProducts, SharedPass
from spectra.products.block.ways import CannotShareError, Way, block_products, ways_of
from spectra.products.tangent.products import TangentProducts
from spectra.products.tuning import MOST_LOSSES
from spectra.system.allocator import resident_bytes
from spectra.system.exact import exact_in_all_threads
from spectra.system.recording import CudaRecorder

logger = logging.getLogger(__name__)

Running = InTurn[Question, Any, LossAnalysis]

# Ours: rows of fewer losses save too little; rows of fewer images are not told apart by size.
_LEAST_LOSSES, _LEAST_IMAGES = 4, 4
# Ours: of its Lanczos vectors a small loss makes some 20 to 40; room is for twice as many.
_VECTORS = 80
# Ours: vectors in float64 that a loss holds beside its basis: in work, both ends, a product.
_WORK = 6


@dataclass
class _Block:
    """One shared pass and the analyses whose products it makes, by row.

    Attributes:
        shared: the pass.
        rows: room for the vectors of a Lanczos run of each.
        running: the analyses.
    """

    shared: SharedPass
    rows: RowsOfRuns
    running: dict[int, tuple[SmallLoss, Running]]

    @property
    def free(self) -> int | None:
        """A row in which no loss stands."""
        rows = (row for row in range(self.shared.count) if row not in self.running)
        return next(rows, None)


class InBlocks:
    """Analyzes small losses as they are added, and yields results as they come.

    Losses share a pass with those of about as many images: rows are of 4, 8, 16, ... images, and
    a loss takes the smallest that it fits into.

    Args:
        judging: what is asked of each.
        settings: of the solver.
        memory: bytes that may be taken in all; None: see
            :func:`spectra.engines.memory.default_limit`.
    """

    def __init__(self, judging: Judging, settings: SolverSettings, memory: int | None) -> None:
        self._judging, self.asked, self.memory = judging, settings, memory
        self._networks: Networks | None = None
        self._ways: list[Way] | None = None
        self._refused = False
        self._blocks: dict[int, _Block | None] = {}
        self._settings = contextlib.ExitStack()

    @property
    def began(self) -> bool:
        """Whether a loss was added."""
        return bool(self._blocks)

    def take(self, op: HessianOperator) -> bool:
        """Say whether a loss can be added; prepare what it needs.

        Cost: for the first loss, reading the network, for the first of its size, a chunk's work.
        """
        most = losses_a_pass(op)
        if self._refused or most < _LEAST_LOSSES or op.world.size > 1:
            return False
        images = op.images
        if not (isinstance(images, Tensor) and images.is_floating_point()):
            return False
        if self._networks is None and not self._prepare(op):
            self._refused = True
            return False
        size = row_images(op)
        if size not in self._blocks:
            self._blocks[size] = self._block_of(op, size, most)
        return self._blocks[size] is not None

    def add(self, loss: SmallLoss) -> Iterator[LossAnalysis]:
        """Have ``loss``, which was taken, analyzed; yield results that came up."""
        block = self._blocks[row_images(loss.op)]
        assert block is not None
        while (row := block.free) is None:
            yield from self._round(block)
        yield from self._begin(block, row, loss)

    def finish(self) -> Iterator[LossAnalysis]:
        """Yield all results that are missing."""
        for block in self._blocks.values():
            while block is not None and block.running:
                yield from self._round(block)
        self._blocks = {}
        self._settings.close()

    def close(self) -> None:
        """Have everything that was begun end where it is."""
        for block in self._blocks.values():
            for _, running in list(block.running.values()) if block else ():
                running.stop()
        self._blocks = {}
        self._settings.close()

    def _prepare(self, op: HessianOperator) -> bool:
        """Make the networks that the losses share; return whether their products can be shared."""
        single = op.over_images(torch.arange(1, device=op.device)).with_memory_budget(0)
        self._settings.enter_context(exact_in_all_threads(op.device))
        try:
            products = self._made(op)
            self._ways = ways_of(products, single.images[:], single.labels)
        except CannotShareError as error:
            logger.info("small losses do not share a pass: %s", error)
            return False
        single._products = _unrecorded(single._products)
        double = single.in_float64()
        double._products = _unrecorded(double._products)
        apart = images_are_told_apart(double)
        single._products.tells_images_apart = double._products.tells_images_apart = apart
        self._networks = Networks(single, double)
        return True

    def _made(self, op: HessianOperator) -> TangentProducts:
        """Return products of an operator's network, with layers of their own."""
        if op.choice.name != "tangent":
            raise CannotShareError("products are not made by a tangent pass")
        return block_products(op.model, op.sample_losses, op.tuning)

    def _block_of(self, op: HessianOperator, images: int, most: int) -> _Block | None:
        """Return a pass for losses of so many images, of as many rows as there is memory for."""
        limit = default_limit(op.device) if self.memory is None else self.memory
        plan = planned_memory(op, self.asked, limit=limit)
        wanted = min(max(self.asked.num_steps, self.asked.max_steps), op.size + 1)
        if plan.max_basis < wanted:
            return None
        vectors = min(_VECTORS, op.size + 1)
        each = (
            vectors * op.size * op.dtype.itemsize
            + 2 * op.chunk_nbytes(images)
            + _WORK * 8 * op.size
        )
        held = resident_bytes(op.device) + max(plan.working, plan.judging)
        count = min(most, (limit - held) // max(1, each))
        if count < 2:
            return None
        assert self._ways is not None
        recorder = None
        if op.device.type == "cuda" and op.tuning.graphs is not False:
            recorder = CudaRecorder(op.device, share_memory=True)
        made = self._made(op)
        shared = SharedPass(made, self._ways, count=count, images=images, recorder=recorder)
        logger.info("losses of at most %d images share a pass, %d at a time", images, count)
        return _Block(shared, RowsOfRuns(op, count, vectors), {})

    def _begin(self, block: _Block, row: int, loss: SmallLoss) -> Iterator[LossAnalysis]:
        running: Running = InTurn(lambda ask: self._analyzed(block, row, loss, ask))
        block.running[row] = loss, running
        yield from self._ended(block)

    def _round(self, block: _Block) -> Iterator[LossAnalysis]:
        """Make the products that the block's losses ask for, and let each go on with its own."""
        asked = {row: r.question for row, (_, r) in sorted(block.running.items()) if r.question}
        answers: dict[int, Any] = {}
        answers |= block.shared.products_of({k: (q.chunk, q.vector) for k, q in asked.items()})
        steps = {row: q.step for row, q in asked.items() if q.step is not None}
        if steps:
            answers |= block.rows.step(steps, answers)
        for row, answer in answers.items():
            block.running[row][1].answer(answer)
        yield from self._ended(block)

    def _ended(self, block: _Block) -> Iterator[LossAnalysis]:
        """Yield the results of losses that are done, and free their rows."""
        for row, (loss, running) in sorted(block.running.items()):
            if not running.done:
                continue
            del block.running[row]
            if isinstance(running.error, NonFiniteError):  # the others have nothing to do with it
                self._judging.without.take(loss.label, running.error)
                continue
            if running.error is not None:
                raise running.error
            self._judging.told(loss)
            assert running.result is not None
            yield running.result

    def _analyzed(
        self, block: _Block, row: int, loss: SmallLoss, ask: Callable[[Question], Any]
    ) -> LossAnalysis:
        assert self._networks is not None
        op = self._networks.holding(loss.op, 0)
        alone = self._networks.single._products
        assert isinstance(alone, TangentProducts)
        op._products = LossProducts(alone, lambda chunk, vector: ask(Question(chunk, vector)))
        op.makes_basis = first_run_beside(block.rows, row, ask)
        bending = self.asked.bending and room_for(BENDING, op, self.memory)
        bootstrap = room_for(BOOTSTRAP, op, self.memory)
        settings = replace(self.asked, bending=bending)
        found = self._judging.analyzed(loss, op, settings, bootstrap=bootstrap)
        if block.shared.refused:
            return found
        return replace(found, products=f"{found.products}, block of {block.shared.count} losses")


def losses_a_pass(op: HessianOperator) -> int:
    """Return how many losses like ``op`` may share a pass at most: they are a chunk together."""
    asked = op.tuning.losses
    if asked is None:
        asked = MOST_LOSSES if op.device.type == "cuda" else 1
    return min(asked, op.micro_chunk // row_images(op))


def row_images(op: HessianOperator) -> int:
    """Return the images of the row that a loss takes: 4, 8, 16, ..."""
    return max(_LEAST_IMAGES, 1 << (op.num_images - 1).bit_length())


def _unrecorded(products: Products) -> Products:
    """Return what makes products where they are recorded, else ``products``."""
    made: Products = getattr(products, "products", products)
    return made
