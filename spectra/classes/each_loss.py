"""Losses of one network, one after the other: each within the memory that there is."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from spectra.classes.many.in_blocks import InBlocks
from spectra.classes.many.one_core_each import OneCoreEach
from spectra.classes.many.small_loss import Judging, SmallLoss
from spectra.classes.many.small_losses import are_many, is_small, room_beside
from spectra.classes.many.those_with_numbers import WithoutNumbers
from spectra.engines.agreement import agreed
from spectra.engines.analyze_fresh import analyze_fresh
from spectra.engines.analyze_loss import analyze_loss
from spectra.engines.forecasts.needed import BENDING, BOOTSTRAP, SEARCH
from spectra.engines.memory import room_for, within_limit
from spectra.engines.settings import SolverSettings
from spectra.errors import NonFiniteError
from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.verdict import RADIUS, TAU, check_thresholds
from spectra.krylov.extremes import Extremes
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.fresh import Draw
from spectra.operators.hessian import HessianOperator
from spectra.system.progress import Progress, within

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedLoss:
    """The Hessian of one loss, and what beside it an analysis has to know.

    Attributes:
        op: the Hessian, which keeps nothing yet.
        factor: of the loss, see :class:`spectra.LossAnalysis`.
        draw: returns the images anew, where every product is to have a draw of its own.
        independent: whether the images are draws of their own; views of one image are not.
        gauss_newton: whether the Gauss-Newton matrix is analyzed in its place.
    """

    op: HessianOperator
    factor: float = 1.0
    draw: Draw | None = None
    independent: bool = True
    gauss_newton: bool = False


class Prepare(Protocol):
    """Builds the Hessian of a loss."""

    def __call__(
        self,
        label: str,
        classes: tuple[int, ...],
        *,
        check: bool,
        like: HessianOperator | None = None,
    ) -> PreparedLoss:
        """Return what is analyzed under ``label``.

        Args:
            label: of the loss.
            classes: whose images it runs over.
            check: probe the operator.
            like: an operator of the same network, which is then shared; None: build one.
        """
        ...


class WarmExtremes(Protocol):
    """Eigenvectors of a neighbouring network."""

    def load(self, label: str, /) -> Extremes | None:
        """Return those of a loss, to start from; None where there are none."""
        ...


def analyze_each(
    chosen: Mapping[str, tuple[int, ...]],
    prepare: Prepare,
    *,
    settings: SolverSettings,
    memory: int | None = None,
    radius: float = RADIUS,
    tau: float = TAU,
    warm: WarmExtremes | None = None,
    takes: Callable[[str], bool] = lambda _: True,
    among: int | None = None,
    on_progress: Progress | None = None,
) -> Iterator[LossAnalysis]:
    """Analyze losses of one network in turn; each is yielded as soon as it is there.

    The network is checked with the first loss alone, and on a CPU copied for it alone. No loss's
    kept work or vectors lie beside those of the next one, but for what the caller keeps. Small
    losses of many are analyzed several at once, on a CPU one a core
    (:mod:`spectra.classes.many.one_core_each`), on a card in one pass
    (:mod:`spectra.classes.many.in_blocks`). Results in one pass come as they are ready, not in the
    order of ``chosen``, and larger losses after them. Where a loss has no numbers, the others go
    on, and it is named in the end.

    Cost: see :func:`spectra.analyze_loss`, for each.

    Args:
        chosen: label of each loss and the classes whose images it runs over.
        prepare: builds the Hessian of one.
        settings: of the solver.
        memory: bytes that may be taken in all; None: see
            :func:`spectra.engines.memory.default_limit`.
        radius: r of the verdicts.
        tau: relative tolerance of the verdicts.
        warm: where to start from.
        takes: asked for each loss when its turn comes: whether it is still to be analyzed here.
        among: number of losses that these are some of, by which it is judged whether they are many;
            None: these.
        on_progress: called with (``class 8`` say, steps done, steps planned).

    Raises:
        InputError: a loss does not fit into the memory, or a number is out of range.
        NonFiniteError: losses or products held NaN or infinity; the message names the class. Raised
            when the others are there; at once where none is after a few, or where ranks would lose
            each other.
    """
    check_thresholds(radius, tau)
    many = are_many(len(chosen) if among is None else among, settings)
    without = WithoutNumbers()
    judging = Judging(without, radius, tau, len(chosen), on_progress)
    beside, blocks = OneCoreEach(judging), InBlocks(judging, settings, memory)
    check, like, largest, room = True, None, 0, None
    later: list[tuple[int, str]] = []

    def usual(
        loss: PreparedLoss, k: int, label: str, before: Extremes | None
    ) -> Iterator[LossAnalysis]:
        progress = within(on_progress, f"class {label}", part=k, of=len(chosen))
        given = chosen[label], settings, memory, radius, tau, before, progress
        try:
            found = _analyzed(loss, _Asked(label, *given))
        except NonFiniteError as error:
            without.take(label, error, ranks=loss.op.world.size)
        else:
            yield found

    try:
        for k, (label, classes) in enumerate(chosen.items(), 1):
            if not takes(label):
                continue
            try:
                loss = prepare(label, classes, check=check, like=like)
            except NonFiniteError as error:  # as on every rank: it has all images here
                without.take(label, error, checked=not check)
                continue
            if check:
                logger.info("products by %s %s", loss.op.choice.label, loss.op.choice.reason)
            check = False
            alone = loss.op.world.size == 1  # else its sums are those of all ranks, in turn
            plain = loss.draw is None and not loss.gauss_newton and alone
            in_block = many and plain and blocks.take(loss.op)
            # What a card recorded is a loss's; what is in a block records nothing by itself.
            if like is None and (loss.op.device.type == "cpu" or in_block):
                few = torch.arange(1, device=loss.op.device)
                like = loss.op.over_images(few).with_memory_budget(0)
            before = warm.load(label) if warm else None
            facts = loss.factor, loss.independent, before
            small = SmallLoss(loss.op, label, classes, k, *facts)
            if in_block:
                yield from blocks.add(small)
                continue
            if blocks.began:  # what the others hold is to be gone by then
                later.append((k, label))
                continue
            if many and plain and is_small(loss.op):
                if loss.op.num_images > largest:
                    largest, room = loss.op.num_images, room_beside(loss.op, settings, memory)
                if room is not None:
                    yield from beside.add(small, room)
                    continue
            yield from beside.finish()
            yield from usual(loss, k, label, before)
        yield from beside.finish()
        yield from blocks.finish()
        for k, label in later:
            on_cpu = like is not None and like.device.type == "cpu"
            loss = prepare(label, chosen[label], check=False, like=like if on_cpu else None)
            yield from usual(loss, k, label, warm.load(label) if warm else None)
    finally:
        beside.close()
        blocks.close()
    without.say()


@dataclass(frozen=True)
class _Asked:
    """What is asked of one loss."""

    label: str
    classes: tuple[int, ...]
    settings: SolverSettings
    memory: int | None
    radius: float
    tau: float
    warm: Extremes | None
    progress: Progress | None


def _analyzed(loss: PreparedLoss, asked: _Asked) -> LossAnalysis:
    """Analyze one loss with all that there is."""
    memory = asked.memory
    matrix: ChunkedOperator = loss.op.gauss_newton() if loss.gauss_newton else loss.op
    op, solver = within_limit(matrix, asked.settings, limit=memory)
    if solver.bending and not room_for(BENDING, op, memory):
        solver = replace(solver, bending=False)
    if solver.stationary and not room_for(SEARCH, op, memory):
        solver = replace(solver, stationary=False)
    room = loss.draw is None and loss.independent and room_for(BOOTSTRAP, op, memory)
    solver, independent = agreed(op.world, solver, room)
    if loss.draw is not None and isinstance(op, HessianOperator):
        analyze = functools.partial(analyze_fresh, op, loss.draw)
    else:
        analyze = functools.partial(analyze_loss, op, warm=asked.warm, independent=independent)
    record = analyze(
        label=asked.label,
        classes=asked.classes,
        settings=solver,
        factor=loss.factor,
        radius=asked.radius,
        tau=asked.tau,
        on_progress=asked.progress,
    )
    op.forget()  # or it would lie beside what the next class keeps
    return record


def those_with_images(
    chosen: Mapping[str, tuple[int, ...]], counts: Sequence[int], *, split: str = ""
) -> dict[str, tuple[int, ...]]:
    """Return the losses that have images; a warning says of each other that it is left out.

    Args:
        chosen: label of each loss and its classes.
        counts: n_c, images of each class.
        split: ``train`` or ``test``, for the message.
    """
    found = {}
    for label, classes in chosen.items():
        if any(counts[c] for c in classes):
            found[label] = classes
        else:
            images = f"{split} images".strip()
            logger.warning("class %s has no %s and is left out", label, images)
    return found
