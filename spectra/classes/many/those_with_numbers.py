"""What is there of several losses when one of them has no numbers."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from spectra.errors import NonFiniteError
from spectra.findings.loss_analysis import LossAnalysis
from spectra.results.analysis import Analysis

# Ours: where that many losses have no numbers and none has, it is the network that has none.
_ENOUGH = 3
# Ours: losses that a message names.
_NAMED = 5


class WithoutNumbers:
    """Losses that have no numbers, and what is wrong with each."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def take(
        self, label: str, error: NonFiniteError, *, ranks: int = 1, checked: bool = True
    ) -> None:
        """Take a loss that has no numbers, and let the others go on.

        Args:
            label: of the loss.
            error: what was raised of it.
            ranks: how many processes worked on it together.
            checked: whether another loss has shown that the network has numbers at all.

        Raises:
            NonFiniteError: ``error``, where there are several ranks, which would lose each other;
                or that of the first loss, where none of the first few has numbers.
        """
        if ranks > 1:
            raise error
        name, line = f"class {label}: ", str(error)
        self._lines.append(line if line.startswith(name) else name + line)
        if len(self._lines) >= _ENOUGH and not checked:
            raise NonFiniteError(self._lines[0]) from error

    def say(self) -> None:
        """Raise NonFiniteError if there is a loss without numbers."""
        if not self._lines:
            return
        more = len(self._lines) - _NAMED
        rest = [f"and {more} more"] if more > 0 else []
        raise NonFiniteError("; ".join(self._lines[:_NAMED] + rest))


class ThoseWithNumbers:
    """Results as they come, and what ended them early.

    Args:
        found: the results, of which the last step may raise NonFiniteError.

    Attributes:
        failed: what it has raised; None: nothing.
    """

    def __init__(self, found: Iterable[LossAnalysis]) -> None:
        self.failed: NonFiniteError | None = None
        self._found = found

    def __iter__(self) -> Iterator[LossAnalysis]:
        """Yield every result that is there."""
        try:
            yield from self._found
        except NonFiniteError as error:
            self.failed = error

    def all_or_raise(self, found: Analysis) -> Analysis:
        """Return what was made of all results.

        Raises:
            NonFiniteError: results are missing; its ``found`` has the others, and a note that says
                which have no numbers.
        """
        if self.failed is None:
            return found
        if found.records:
            notes = (*found.checkpoint.notes, f"not all is here: {self.failed}")
            self.failed.found = replace(found, checkpoint=replace(found.checkpoint, notes=notes))
        raise self.failed
