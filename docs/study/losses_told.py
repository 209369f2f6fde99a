"""What the documents say of the rows of ratio against loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ratio_by_loss import LossRow, load_losses

# Ours: between this loss and twice it, other starts than the stored ones gave the right value.
SURE = 1e-4


@dataclass(frozen=True)
class LossesTold:
    """What is said of the rows of ratio against loss.

    Attributes:
        rows: a class of a network each.
    """

    rows: tuple[LossRow, ...]

    @property
    def wrong_when_plain(self) -> list[LossRow]:
        """Those that PyHessian's recurrence puts above twice the certified ratio, images fixed."""
        return [row for row in self.rows if row.plain_published > 2 * row.certified]

    @property
    def wrong_when_plain_up_to(self) -> float:
        """The largest loss of those."""
        return max(row.loss for row in self.wrong_when_plain)

    @property
    def sure(self) -> float:
        """The loss under which every one of them is wrong, from each start that was tried."""
        return SURE

    @property
    def surely_wrong(self) -> list[LossRow]:
        """Those of losses under that."""
        return [row for row in self.wrong_when_plain if row.loss < SURE]

    @property
    def millionth(self) -> LossRow:
        """Of these, the one of the largest loss."""
        return max(self.surely_wrong, key=lambda row: row.loss)


def losses_told(path: Path) -> LossesTold | None:
    """Return what is said of the stored rows; None: they are not stored."""
    return LossesTold(load_losses(path).rows) if path.exists() else None
