"""What every writer does, and which there are."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from spectra.results.analysis import Analysis
from spectra.results.writers.values import EpochValues


class EpochWriter(ABC):
    """Writes what is found at an epoch to where somebody watches; a context that closes itself."""

    def write(self, analysis: Analysis) -> None:
        """Write λmin, λmax, ratio, trace, accuracies ... of every loss, and its density."""
        self.write_values(EpochValues.of(analysis))

    @abstractmethod
    def write_values(self, values: EpochValues) -> None:
        """Write the numbers and densities of one epoch."""

    @abstractmethod
    def close(self) -> None:
        """Finish what the writer has begun; what was given to it stays open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
