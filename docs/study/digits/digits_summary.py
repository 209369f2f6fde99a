"""The digits study in one small file: of each loss, what its tables are made of."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from spectra import Analysis, LossAnalysis, load_analysis
from spectra.errors import InputError
from spectra.results.plain import from_plain
from spectra.system.files.writing import write_atomically

# Head, mid and tail: thirds by size, as in the paper's tables.
GROUPS = {"head": (0, 1, 2), "mid": (3, 4, 5, 6), "tail": (7, 8, 9)}
_DIGITS = 5  # significant ones that are stored


@dataclass(frozen=True)
class StudiedLoss:
    """What was found of one loss of one network.

    Attributes:
        recipe: of the training.
        seed: of the training.
        split: whose images the Hessian is of, ``train`` or ``test``.
        label: class, group or ``overall``.
        n: images.
        accuracy: of the class on held-out images, a fraction.
        loss: mean cross-entropy.
        lambda_min: smallest eigenvalue, as a Rayleigh quotient in float64.
        lambda_min_at_least: bound from below on it, 95 % over the start vector; None: none.
        lambda_max: largest eigenvalue.
        grad_norm: of the mean gradient.
        verdict: on the curvature.
        lowered: part of the loss that a step within SAM's radius removes.
        bending: part of that which negative curvature brings.
    """

    recipe: str
    seed: int
    split: str
    label: str
    n: int
    accuracy: float | None
    loss: float
    lambda_min: float
    lambda_min_at_least: float | None
    lambda_max: float
    grad_norm: float
    verdict: str
    lowered: float | None
    bending: float | None

    @property
    def ratio(self) -> float:
        """|λmin/λmax|."""
        return abs(self.lambda_min / self.lambda_max)

    @property
    def largest_ratio(self) -> float | None:
        """The bound from below on λmin over λmax, which the ratio may reach; None: no bound."""
        low = self.lambda_min_at_least
        return None if low is None else abs(low / self.lambda_max)


@dataclass(frozen=True)
class StudiedEpoch:
    """The ratio of one group's loss at one epoch of one network, on training images.

    Attributes:
        recipe: of the training.
        seed: of the training.
        epoch: of the training.
        label: head or tail.
        ratio: |λmin/λmax| of the group's loss.
    """

    recipe: str
    seed: int
    epoch: int
    label: str
    ratio: float


@dataclass(frozen=True)
class DigitsSummary:
    """All of the study that is there.

    Attributes:
        losses: at the last epoch.
        epochs: over training.
        versions: of the libraries that measured it.
    """

    losses: tuple[StudiedLoss, ...]
    epochs: tuple[StudiedEpoch, ...]
    versions: dict[str, str]

    def runs(self, recipe: str, split: str) -> list[list[StudiedLoss]]:
        """Return the losses of each seed of a recipe."""
        chosen = [one for one in self.losses if (one.recipe, one.split) == (recipe, split)]
        seeds = sorted({one.seed for one in chosen})
        return [[one for one in chosen if one.seed == seed] for seed in seeds]


def in_group(run: Iterable[StudiedLoss], group: str) -> list[StudiedLoss]:
    """Return the losses of a group's classes."""
    labels = {str(label) for label in GROUPS[group]}
    return [one for one in run if one.label in labels]


def geometric_mean(run: Iterable[StudiedLoss], of: Callable[[StudiedLoss], float]) -> float:
    """Return the geometric mean of the absolute values of a quantity."""
    return math.exp(statistics.fmean(math.log(abs(of(one))) for one in run))


def take_in(folder: Path) -> DigitsSummary:
    """Return what ``spectra pipeline`` has left in a folder, of every network that is analyzed.

    Raises:
        InputError: nothing is there.
    """
    losses: list[StudiedLoss] = []
    versions: dict[str, str] = {}
    for path in sorted(folder.glob("analyses/*/*/epoch-*.json")):
        analysis = load_analysis(path)
        versions = dict(analysis.versions)
        losses += [_loss(analysis, record) for record in analysis.records]
    epochs = [
        _epoch(analysis, record)
        for path in sorted(folder.glob("trajectories/*/train/epoch-*.json"))
        for analysis in (load_analysis(path),)
        for record in analysis.records
    ]
    if not losses:
        raise InputError(f"expected analyses/RUN/SPLIT/epoch-*.json in {folder}, found none")
    return DigitsSummary(tuple(losses), tuple(epochs), versions)


def _loss(analysis: Analysis, record: LossAnalysis) -> StudiedLoss:
    bending = record.bending
    below = record.certificates[0].beyond if record.certificates else None
    return StudiedLoss(
        *_named(analysis),
        split=str(analysis.protocol.split),
        label=str(record.label),
        n=record.n,
        accuracy=_short(record.accuracy),
        loss=_short(record.loss),
        lambda_min=_short(record.lambda_min),
        lambda_min_at_least=_short(below),
        lambda_max=_short(record.lambda_max),
        grad_norm=_short(record.grad_norm),
        verdict=record.verdict.name,
        lowered=_short(bending.lowered_with) if bending else None,
        bending=_short(bending.share) if bending else None,
    )


def _epoch(analysis: Analysis, record: LossAnalysis) -> StudiedEpoch:
    epoch = int(analysis.checkpoint.epoch or 0)
    return StudiedEpoch(*_named(analysis), epoch, str(record.label), _short(record.ratio))


def _named(analysis: Analysis) -> tuple[str, int]:
    return str(analysis.checkpoint.recipe), int(analysis.checkpoint.seed or 0)


def _short(value: Any) -> Any:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def save_summary(path: Path, summary: DigitsSummary) -> None:
    """Write a summary, one line a row."""
    tables = {"losses": (StudiedLoss, summary.losses), "epochs": (StudiedEpoch, summary.epochs)}
    parts = [f'"versions": {json.dumps(summary.versions)}']
    for name, (kind, rows) in tables.items():
        lines = [json.dumps([f.name for f in fields(kind)])]
        lines += [json.dumps(astuple(row), ensure_ascii=False) for row in rows]
        parts.append(f'"{name}": [\n ' + ",\n ".join(lines) + "\n]")
    write_atomically(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def load_summary(path: Path) -> DigitsSummary:
    """Read what :func:`save_summary` wrote."""
    plain = json.loads(path.read_text("utf-8"))
    kinds: dict[str, Any] = {"losses": StudiedLoss, "epochs": StudiedEpoch}
    rows = {
        name: tuple(
            from_plain(dict(zip(columns, row, strict=True)), kind, origin=path.name, at=name)
            for columns, *lines in (plain[name],)
            for row in lines
        )
        for name, kind in kinds.items()
    }
    return DigitsSummary(**rows, versions=plain["versions"])
