"""What is said of the classes of a group, whether all were analyzed or a random sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.verdict import NEGATIVE
from spectra.krylov.quadrature.intervals import Interval
from spectra.results.groups.finite_population import (
    mean_interval,
    median_interval,
    share_interval,
)
from spectra.results.record import RowValue

if TYPE_CHECKING:
    from spectra.results.analysis import Analysis

ALL, SAMPLE, SOME = "all", "sample", "some"
# Ours: of a distribution over classes that one line of a table shows: its tenths and its middle.
QUANTILES = (0.1, 0.5, 0.9)
EVERY_CLASS = "all"


@dataclass(frozen=True)
class Quantiles:
    """How values spread over the analyzed classes of a group.

    Attributes:
        low: a tenth of the classes lies below.
        median: half of them.
        high: nine tenths.
    """

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quantiles | None:
        """Return those of values; None where there are none."""
        if not len(values):
            return None
        return cls(*map(float, np.quantile(values, QUANTILES)))


@dataclass(frozen=True)
class GroupSummary:
    """A group of classes. Its intervals are of all its classes, at 95 %.

    Attributes:
        name: ``head``, ``mid``, ``tail`` ..., or ``all``.
        classes: in the group.
        analyzed: of these.
        how: ``all`` of them were analyzed, so that intervals are points; a random ``sample``; or
            ``some`` that somebody chose, which say nothing of the others: there are no intervals.
        images: fewest and most of an analyzed class.
        mean: of λmin over the analyzed classes.
        lambda_min: over the analyzed classes, loss / parameter².
        ratio: |λmin/λmax| over them; None where none has one.
        negative: how many of them have negative curvature, by their verdict.
        mean_lambda_min: of the group; None where nothing can be said, as in what follows.
        negative_share: of its classes.
        median_ratio: of its classes.
    """

    name: str
    classes: int
    analyzed: int
    how: str
    images: tuple[int, int]
    mean: float
    lambda_min: Quantiles
    ratio: Quantiles | None
    negative: int
    mean_lambda_min: Interval | None
    negative_share: Interval | None
    median_ratio: Interval | None


def group_summaries(analysis: Analysis) -> list[GroupSummary]:
    """Return what is said of each group of an analysis, and of all classes where all are there.

    The methods of the intervals, with their sources, are those of
    :mod:`spectra.results.groups.finite_population`. Classes of a sample that others were added to
    by hand are summed up without those.

    Args:
        analysis: with ``protocol.class_groups``; without, all its classes are one group.

    Returns:
        A summary of each group with an analyzed class; none where no class was analyzed alone.

    Example:
        >>> import torch, spectra
        >>> from spectra.results.groups.summary import group_summaries
        >>> data = torch.linspace(-1, 1, 24).view(6, 4), [0, 1, 2, 0, 1, 2]
        >>> found = spectra.analyze_classes(torch.nn.Linear(4, 3), data, num_steps=3)
        >>> [(group.name, group.analyzed, group.how) for group in group_summaries(found)]
        [('all', 3, 'all')]
    """
    single = {record.classes[0]: record for record in single_classes(analysis.records)}
    counts = analysis.checkpoint.class_counts
    found = []
    for group in analysis.protocol.class_groups:
        there = [c for c in group.classes if c in single]
        sampled = bool(group.drawn) and set(group.drawn) <= set(there)
        whole = len(there) == len(group.classes)
        how = ALL if whole else SAMPLE if sampled else SOME
        members = group.drawn if how == SAMPLE else there
        if members:
            chosen = [single[c] for c in members]
            found.append(_summary(group.name, chosen, len(group.classes), how))
    with_images = max(sum(map(bool, counts)), len(single))
    how = ALL if with_images == len(single) else SOME
    # Whole groups say what there is to say; of all classes they say nothing more.
    if single and (how == ALL or not found):
        found.append(_summary(EVERY_CLASS, list(single.values()), with_images, how))
    return found


def rows_of_groups(analysis: Analysis) -> dict[str, list[dict[str, RowValue]]]:
    """Return ``{"groups": rows}`` where classes were drawn or there are many, else nothing."""
    if not analysis.protocol.class_groups:
        return {}
    return {"groups": group_rows(group_summaries(analysis))}


def group_rows(groups: Sequence[GroupSummary]) -> list[dict[str, RowValue]]:
    """Return each summary as a flat row: ``groups.csv``, and ``groups`` of ``analyze --json``."""
    return [
        {
            "group": group.name,
            "classes": group.classes,
            "analyzed": group.analyzed,
            "how": group.how,
            "images_least": group.images[0],
            "images_most": group.images[1],
            **_spread("lambda_min", group.lambda_min),
            **_spread("ratio", group.ratio),
            "negative": group.negative,
            "lambda_min_mean": group.mean,
            **_interval("lambda_min_mean", group.mean_lambda_min),
            "negative_share": group.negative / group.analyzed,
            **_interval("negative_share", group.negative_share),
            **_interval("ratio_50", group.median_ratio),
        }
        for group in groups
    ]


def _spread(name: str, values: Quantiles | None) -> dict[str, RowValue]:
    names = [f"{name}_{100 * q:.0f}" for q in QUANTILES]
    cells = (None, None, None) if values is None else (values.low, values.median, values.high)
    return dict(zip(names, cells, strict=True))


def _interval(name: str, found: Interval | None) -> dict[str, RowValue]:
    low, high = (None, None) if found is None else (found.lower, found.upper)
    return {f"{name}_at_least": low, f"{name}_at_most": high}


def single_classes(records: Sequence[LossAnalysis]) -> list[LossAnalysis]:
    """Return the records that are of one class each."""
    return [record for record in records if len(record.classes) == 1 and record.label.isdecimal()]


def _summary(name: str, records: Sequence[LossAnalysis], classes: int, how: str) -> GroupSummary:
    lows = [record.lambda_min for record in records]
    ratios = [record.ratio for record in records if record.ratio is not None]
    negative = sum(record.verdict.name == NEGATIVE for record in records)
    spread = Quantiles.of(lows)
    assert spread is not None
    told = how != SOME
    every_ratio = told and len(ratios) == len(records)
    return GroupSummary(
        name=name,
        classes=classes,
        analyzed=len(records),
        how=how,
        images=(min(r.n for r in records), max(r.n for r in records)),
        mean=float(np.mean(lows)),
        lambda_min=spread,
        ratio=Quantiles.of(ratios),
        negative=negative,
        mean_lambda_min=mean_interval(lows, classes) if told else None,
        negative_share=share_interval(negative, len(records), classes) if told else None,
        median_ratio=median_interval(ratios, classes) if every_ratio else None,
    )
