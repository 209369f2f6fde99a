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
from dataclasses import replace

from spectra.classes.many.small_loss import Judging, SmallLoss
from spectra.classes.many.small_losses import ON_ONE_CORE, Room
from spectra.errors import NonFiniteError
from spectra.findings.loss_analysis import LossAnalysis
from spectra.objective.workers import one_thread_each
from spectra.operators.many_losses.same_network import Networks
from spectra.system.exact import exact_in_all_threads


class OneCoreEach:
    """Analyzes small losses as they are added, and hands their results on in that order.

    Args:
        judging: what is asked of each.
    """

    def __init__(self, judging: Judging) -> None:
        self._judging = judging
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
            self._judging.without.take(loss.label, error)
            return
        self._judging.told(loss)
        yield found

    def _analyzed(self, loss: SmallLoss, room: Room) -> LossAnalysis:
        networks = self._free.get()
        try:
            op = networks.holding(loss.op, room.kept)
            found = self._judging.analyzed(loss, op, room.settings, bootstrap=room.bootstrap)
        finally:
            self._free.put(networks)
        return replace(found, products=f"{found.products}, {ON_ONE_CORE}")
