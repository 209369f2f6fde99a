"""One small loss, and what is the same in each way of analyzing several at once."""

from __future__ import annotations

from dataclasses import dataclass

from spectra.classes.many.those_with_numbers import WithoutNumbers
from spectra.engines.analyze_loss import analyze_loss
from spectra.engines.settings import SolverSettings
from spectra.findings.loss_analysis import LossAnalysis
from spectra.krylov.extremes import Extremes
from spectra.operators.hessian import HessianOperator
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


@dataclass(frozen=True)
class Judging:
    """What is asked of every loss, and who hears of it.

    Attributes:
        without: takes losses that have no numbers.
        radius: r of the verdicts.
        tau: relative tolerance of the verdicts.
        of: number of all losses, for the progress.
        on_progress: called when a result is there.
    """

    without: WithoutNumbers
    radius: float
    tau: float
    of: int
    on_progress: Progress | None

    def analyzed(
        self, loss: SmallLoss, op: HessianOperator, settings: SolverSettings, *, bootstrap: bool
    ) -> LossAnalysis:
        """Analyze a loss by ``op``, the same matrix made ready for the way that it is analyzed."""
        return analyze_loss(
            op,
            label=loss.label,
            classes=loss.classes,
            settings=settings,
            factor=loss.factor,
            radius=self.radius,
            tau=self.tau,
            warm=loss.warm,
            independent=loss.independent and bootstrap,
        )

    def told(self, loss: SmallLoss) -> None:
        """Tell that a loss's result is there."""
        told = within(self.on_progress, f"class {loss.label}", part=loss.place, of=self.of)
        if told is not None:
            told("", 1, 1)
