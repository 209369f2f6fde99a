"""Work that is interrupted wherever it asks for something, and goes on with the answer.

Each piece of work has a thread of its own, which runs only while somebody waits for it: at any time
one thread works, and the order in which they do is the caller's. So the work needs no locks, and
its results do not depend on how threads happen to be scheduled.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


class _StoppedError(BaseException):
    """The work is not to go on."""


_STOP = object()


class InTurn(Generic[Question, Answer, Result]):
    """One piece of work.

    Args:
        work: called with a function that asks: it takes a question and returns the answer.

    Attributes:
        question: what the work waits for an answer to; None once it is done.
        result: what the work has returned; None before, and where it failed.
        error: what it raised.
    """

    def __init__(self, work: Callable[[Callable[[Question], Answer]], Result]) -> None:
        self.question: Question | None = None
        self.result: Result | None = None
        self.error: BaseException | None = None
        self._work = work
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._words: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), daemon=True)
        self._thread.start()
        self._listen()

    @property
    def done(self) -> bool:
        """Whether the work has returned or raised."""
        return self.question is None

    def answer(self, answer: Answer) -> None:
        """Let the work go on until it asks again, or ends."""
        self.question = None
        self._answers.put(answer)
        self._listen()

    def stop(self) -> None:
        """Have the work end where it waits; wait until it has."""
        self._answers.put(_STOP)
        self._thread.join()

    def _listen(self) -> None:
        word, value = self._words.get()
        if word == "asks":
            self.question = value
            return
        self._thread.join()
        if word == "failed":
            self.error = value
        else:
            self.result = value

    def _run(self) -> None:
        try:
            found = self._work(self._ask)
        except _StoppedError:
            self._words.put(("stopped", None))
        except BaseException as error:
            self._words.put(("failed", error))
        else:
            self._words.put(("done", found))

    def _ask(self, question: Question) -> Answer:
        self._words.put(("asks", question))
        answer = self._answers.get()
        if answer is _STOP:
            raise _StoppedError
        found: Answer = answer
        return found
