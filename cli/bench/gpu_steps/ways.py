"""The ways of computing that the suite turns on in turn, the default one first."""

from dataclasses import dataclass, field
from typing import Any

from checkpoints.training.execution import EXACT, Execution
from spectra.products.tuning import DEFAULT, MEASURED, Tuning

# Ours: as many vectors as the products beside the peers take at once.
STACKED = 4


@dataclass(frozen=True)
class Way:
    """One way of making products.

    Attributes:
        name: as tables show it.
        tuning: what it asks of the operator.
    """

    name: str
    tuning: Tuning | str = field(default=DEFAULT)

    @property
    def stacked(self) -> int:
        """Vectors that a pass takes together."""
        return self.tuning.stacked if isinstance(self.tuning, Tuning) else 1

    @property
    def options(self) -> dict[str, Any]:
        """What goes to the operator; nothing for the default, which is the operator's own."""
        return {} if self.tuning == DEFAULT else {"tuning": self.tuning}


@dataclass(frozen=True)
class TrainingWay:
    """One way of computing training steps.

    Attributes:
        name: as tables show it.
        execution: what it asks of the trainer.
    """

    name: str
    execution: Execution


EAGER = Way("eager", Tuning(graphs=False))
GRAPHS = Way("graphs")
EAGER_TRAINING = TrainingWay("eager", EXACT)


def ways(*, on_gpu: bool) -> tuple[Way, ...]:
    """Return the ways of making products: :data:`EAGER`, which the others are compared with first.

    :data:`GRAPHS` is the default on a GPU, and everywhere else what is eager.

    Args:
        on_gpu: whether there is one; graphs and the choice of cuDNN's kernels need it.
    """
    anywhere = (
        EAGER,
        Way("contiguous", Tuning(layout="contiguous", graphs=False)),
        Way("measured", MEASURED),
        Way(f"stacked {STACKED}", Tuning(stacked=STACKED, graphs=False)),
    )
    if not on_gpu:
        return anywhere
    return (
        *anywhere,
        Way("benchmark", Tuning(deterministic=False, benchmark=True, graphs=False)),
        Way(
            "benchmark, contiguous",
            Tuning(layout="contiguous", deterministic=False, benchmark=True, graphs=False),
        ),
        GRAPHS,
        Way("graphs, contiguous", Tuning(layout="contiguous", graphs=True)),
        Way(f"graphs, stacked {STACKED}", Tuning(graphs=True, stacked=STACKED)),
        Way(
            f"graphs, benchmark, stacked {STACKED}",
            Tuning(deterministic=False, benchmark=True, graphs=True, stacked=STACKED),
        ),
    )


def training_ways(*, on_gpu: bool) -> tuple[TrainingWay, ...]:
    """Return the ways of training in float32, the default one first; captured ones on a GPU."""
    anywhere = (
        EAGER_TRAINING,
        TrainingWay("channels-last", Execution(channels_last=True)),
    )
    if not on_gpu:
        return anywhere
    return (
        *anywhere,
        TrainingWay("captured", Execution(captured=True)),
        TrainingWay("captured, channels-last", Execution(channels_last=True, captured=True)),
    )
