"""Small losses of one network analyzed several at once: each on one core, by one thread.

A class of 20 small images keeps one core busy, whatever the machine has. Its result comes from one
thread, and depends neither on how many there are nor on which loss is done first.
"""

from __future__ import annotations

import contextlib
import queue
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace

from spectra.classes.many.small_losses import ON_ONE_CORE, Room
from spectra.classes.many.those_with_numbers import WithoutNumbers
from spectra.engines.analyze_loss import analyze_loss
from spectra.errors import NonFiniteError
from spectra.findings.loss_analysis import LossAnalysis
from spectra.krylov.extremes import Extremes
from spectra.objective.workers import one_thread_each
from spectra.operators.hessian import HessianOperator
from spectra.operators.many_losses.same_network import Networks
from spectra.system.exact import exact_in_all_threads
from spectra.system.progress import Progress, within


@dataclass(frozen=True)
class SmallLoss:
    """What is to be analyzed.

    Attributes:
        op: the Hessian; it shares its network with other losses.
        label: of the loss.
        classes: whose images it runs over.
        place: which of all losses it is, from 1.
        factor: of the loss.
        independent: whether its images are draws of their own.
        warm: where to start from.
    """

    op: HessianOperator
    label: str
    classes: tuple[int, ...]
    place: int
    factor: float
    independent: bool
    warm: Extremes | None


class OneCoreEach:
    """Analyzes small losses as they are added, and hands their results on in that order.

    Args:
        without: takes losses that have no numbers.
        radius: r of the verdicts.
        tau: relative tolerance of the verdicts.
        of: number of all losses, for the progress.
        on_progress: called when a result is there.
    """

    def __init__(
        self,
        without: WithoutNumbers,
        *,
        radius: float,
        tau: float,
        of: int,
        on_progress: Progress | None,
    ) -> None:
        self.radius, self.tau, self.of, self.on_progress = radius, tau, of, on_progress
        self._without = without
        self._waiting: deque[tuple[SmallLoss, Future[LossAnalysis]]] = deque()
        self._free: queue.SimpleQueue[Networks] = queue.SimpleQueue()
        self._made = 0
        self._settings = contextlib.ExitStack()

    def add(self, loss: SmallLoss, room: Room) -> Iterator[LossAnalysis]:
        """Have ``loss`` analyzed, which may take ``room``; yield results that are due."""
        workers = room.workers
        if not self._waiting:  # torch's settings are the process's: not for each thread to change
            self._settings.enter_context(exact_in_all_threads(loss.op.device))
        while self._made < workers:
            self._free.put(Networks.like(loss.op))
            self._made += 1
        if len(self._waiting) >= 2 * workers:
            yield from self._next()
        future = one_thread_each(workers).submit(self._analyzed, loss, room)
        self._waiting.append((loss, future))

    def finish(self) -> Iterator[LossAnalysis]:
        """Yield all results that are missing."""
        while self._waiting:
            yield from self._next()
        self._settings.close()

    def close(self) -> None:
        """Begin nothing more, and wait for what was begun."""
        for _, future in self._waiting:
            future.cancel()
        for _, future in self._waiting:
            if not future.cancelled():
                future.exception()
        self._waiting.clear()
        self._settings.close()

    def _next(self) -> Iterator[LossAnalysis]:
        loss, future = self._waiting.popleft()
        try:
            found = future.result()
        except NonFiniteError as error:  # which the other losses have nothing to do with
            self._without.add(loss.label, error)
            return
        told = within(self.on_progress, f"class {loss.label}", part=loss.place, of=self.of)
        if told is not None:
            told("", 1, 1)
        yield found

    def _analyzed(self, loss: SmallLoss, room: Room) -> LossAnalysis:
        networks = self._free.get()
        try:
            op = networks.holding(loss.op, room.kept)
            found = analyze_loss(
                op,
                label=loss.label,
                classes=loss.classes,
                settings=room.settings,
                factor=loss.factor,
                radius=self.radius,
                tau=self.tau,
                warm=loss.warm,
                independent=loss.independent and room.bootstrap,
            )
        finally:
            self._free.put(networks)
        return replace(found, products=f"{found.products}, {ON_ONE_CORE}")
