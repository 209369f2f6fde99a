"""Best steps along eigenvectors beside what curvature says, and their file ``alain2019.json``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from spectra.findings.claims.best_steps import BestStep
from spectra.findings.claims.rank_correlation import RankCorrelation, rank_correlation
from spectra.results.directions.theorem_result import MeasuredAt
from spectra.results.plain import from_plain, read_document, to_plain
from spectra.system.files.writing import write_json

FORMAT = "spectra.claim.alain2019"
SCHEMA = 1
CLAIM = (
    "Along eigenvectors of positive curvature the best learning rate is near 1/λ; along negative "
    "curvature it has little to do with 1/|λ|, and there the loss can be lowered most."
)
# Ours: the model's step and the best one agree where they are within this factor of each other.
NEAR = 1.5


@dataclass(frozen=True)
class StepsOfLoss:
    """Best steps along eigenvectors of one loss.

    Attributes:
        label: of the loss.
        n: images.
        loss: mean loss.
        grad_norm: ‖g‖, loss / parameter.
        reach: longest step tried, parameter units.
        converged: whether all eigenpairs met their tolerance.
        steps: one for each eigenpair: the lowest eigenvalues, then the highest.
    """

    label: str
    n: int
    loss: float
    grad_norm: float
    reach: float
    converged: bool
    steps: tuple[BestStep, ...]

    def of_sign(self, sign: int) -> tuple[BestStep, ...]:
        """Return the steps along eigenvalues of a sign that lowered the loss measurably."""
        return tuple(step for step in self.steps if step.measurable and step.value * sign > 0)

    def correlation(self, sign: int) -> RankCorrelation | None:
        """Return that of the size of the best learning rate with 1/|λ| over one sign of λ."""
        chosen = [step for step in self.of_sign(sign) if step.rate is not None]
        return rank_correlation(
            [abs(step.rate or 0.0) for step in chosen], [1 / abs(step.value) for step in chosen]
        )

    def best_decrease(self, sign: int) -> float:
        """Return the largest part of the loss that a step along one of them removes; 0: none."""
        found = max((step.decrease for step in self.of_sign(sign)), default=0.0)
        return found / abs(self.loss) if self.loss else 0.0


@dataclass(frozen=True)
class BestStepsProtocol:
    """What was measured.

    Attributes:
        images: ``plain`` or ``frozen:K``.
        split: ``train`` or ``test``.
        loss: as in ``spectra analyze``.
        images_per_class: limit; None: every image.
        pairs: eigenpairs from either end.
        seed: of every draw.
    """

    images: str
    split: str
    loss: str
    images_per_class: int | None
    pairs: int
    seed: int


@dataclass(frozen=True)
class BestStepsResult:
    """Best steps along eigenvectors of some losses of one checkpoint.

    Attributes:
        checkpoint: at which weights.
        protocol: over which images.
        losses: one each.
    """

    checkpoint: MeasuredAt
    protocol: BestStepsProtocol
    losses: tuple[StepsOfLoss, ...]

    def over_model(self, sign: int) -> tuple[float, ...]:
        """Return the length of the best step over the model's, |⟨g, v⟩|/|λ|, for one sign of λ."""
        steps = [step for loss in self.losses for step in loss.of_sign(sign)]
        return tuple(abs(step.over_model) for step in steps if step.over_model is not None)

    def against_slope(self, sign: int) -> int:
        """Return in how many the lowest point is on the side to which the loss rises at w."""
        return sum(step.step < 0 for loss in self.losses for step in loss.of_sign(sign))

    @property
    def sentence(self) -> str:
        """What the authors say and what is found here."""
        here = f"{_of_sign(self, 1)}; {_of_sign(self, -1)}; {_most(self.losses)}"
        return f"They say: {CLAIM} Here: {here}."


def _of_sign(result: BestStepsResult, sign: int) -> str:
    name = "positive" if sign > 0 else "negative"
    found = result.over_model(sign)
    if not found:
        return f"no step along {name} curvature lowers a loss measurably"
    near = sum(1 / NEAR <= ratio <= NEAR for ratio in found)
    correlations = [c for loss in result.losses if (c := loss.correlation(sign)) is not None]
    said = (
        f"along {name} curvature the length of the best step is within a factor of {NEAR:g} of "
        f"|⟨g, v⟩|/|λ| in {near} of {len(found)} (median {median(found):.3g} times that; in "
        f"{result.against_slope(sign)} to the side to which the loss rises at first)"
    )
    if correlations:
        low = min(c.estimate for c in correlations)
        high = max(c.estimate for c in correlations)
        between = f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f} by loss"
        blank = sum(c.says_nothing for c in correlations)
        said += (
            f", the rank correlation of the best rate with 1/|λ| {between} (0 within the 95 % "
            f"interval in {blank} of {len(correlations)})"
        )
    return said


def _most(losses: Sequence[StepsOfLoss]) -> str:
    below = sum(loss.best_decrease(-1) > loss.best_decrease(1) for loss in losses)
    return f"the largest decrease is along negative curvature in {below} of {len(losses)} losses"


def best_steps_to_plain(result: BestStepsResult) -> dict[str, Any]:
    """Return the content of ``alain2019.json``, documented in docs/claims.md."""
    return {"format": FORMAT, "schema": SCHEMA, "sentence": result.sentence, **to_plain(result)}


def save_best_steps(path: str | Path, result: BestStepsResult) -> None:
    """Write ``alain2019.json`` atomically."""
    write_json(Path(path), best_steps_to_plain(result))


def load_best_steps(path: str | Path) -> BestStepsResult:
    """Read an ``alain2019.json``.

    Raises:
        InputError: not JSON, another format, a newer schema, or a value that does not fit.
    """
    what = "an alain2019.json of 'spectra claim alain2019'"
    plain = read_document(Path(path), what=what, format_name=FORMAT, newest=SCHEMA)
    return from_plain(plain, BestStepsResult, origin=str(path))
