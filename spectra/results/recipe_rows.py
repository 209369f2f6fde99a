"""What the seeds of one recipe reached."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spectra.errors import InputError
from spectra.findings.loss_analysis import LossAnalysis
from spectra.results.analysis import Analysis
from spectra.results.groups.by_size import HEAD_MID_TAIL, names_of
from spectra.results.study_result import StudyResult

ACCURACIES = ("overall", "head", "mid", "tail")
RATIOS = ("ratio_head", "ratio_tail")


@dataclass(frozen=True)
class RecipeRow:
    """One recipe: what each seed reached.

    Attributes:
        recipe: its name.
        seeds: one for each run; every tuple below has one value for each, or is empty where the
            quantity was not measured.
        overall: accuracy on held-out images, between 0 and 1.
        head: of the classes with the most training images.
        mid: of those between.
        tail: of those with the fewest.
        ratio_head: |λmin/λmax| of the head: of one class, or one number for several; say which in
            the note under the table.
        ratio_tail: of the tail.
        group_names: what head, mid and tail are called; ``many``, ``medium``, ``few``, say.
    """

    recipe: str
    seeds: tuple[int, ...]
    overall: tuple[float, ...] = ()
    head: tuple[float, ...] = ()
    mid: tuple[float, ...] = ()
    tail: tuple[float, ...] = ()
    ratio_head: tuple[float, ...] = ()
    ratio_tail: tuple[float, ...] = ()
    group_names: tuple[str, str, str] = HEAD_MID_TAIL

    def __post_init__(self) -> None:
        """Refuse rows whose numbers do not belong to their seeds."""
        for name in ACCURACIES + RATIOS:
            values = getattr(self, name)
            if len(values) not in (0, len(self.seeds)):
                raise InputError(
                    f"{self.recipe}: {name} must have one value for each of the "
                    f"{len(self.seeds)} seeds, got {len(values)}"
                )
            if name in ACCURACIES and any(not 0 <= v <= 1 for v in values):
                raise InputError(f"{self.recipe}: {name} must lie in 0..1; give fractions")


def recipe_rows(
    result: StudyResult, groups: Mapping[str, Sequence[int]], split: str = "train"
) -> list[RecipeRow]:
    """Return what each recipe's seeds reached at the last epoch.

    Accuracies are means of class accuracies on test images; ratios are geometric means over the
    classes of a group.

    Args:
        result: of a study.
        groups: classes of ``head``, ``mid`` and ``tail``, or of ``many``, ``medium`` and ``few``.
        split: whose images the curvature is of.
    """
    everything = [c for classes in groups.values() for c in classes]
    names = names_of(groups)
    head, mid, tail = (groups[name] for name in names)
    rows = []
    for recipe in result.recipes:
        last = result.last(recipe, split)
        rows.append(
            RecipeRow(
                recipe=recipe,
                seeds=tuple(a.checkpoint.seed or 0 for a in last),
                overall=_accuracies(last, everything),
                head=_accuracies(last, head),
                mid=_accuracies(last, mid),
                tail=_accuracies(last, tail),
                ratio_head=_ratios(last, head),
                ratio_tail=_ratios(last, tail),
                group_names=names,
            )
        )
    return rows


def class_records(analysis: Analysis, classes: Sequence[int]) -> list[LossAnalysis]:
    """Return the single-class records of ``classes``, those that were analyzed."""
    wanted = {str(c) for c in classes}
    return [record for record in analysis.records if record.label in wanted]


def _accuracies(analyses: Sequence[Analysis], classes: Sequence[int]) -> tuple[float, ...]:
    """Return the mean class accuracy of each analysis; empty where one has none."""
    rows = [[r.accuracy for r in class_records(a, classes)] for a in analyses]
    if not all(rows) or any(value is None for row in rows for value in row):
        return ()
    return tuple(statistics.fmean(value for value in row if value is not None) for row in rows)


def _ratios(analyses: Sequence[Analysis], classes: Sequence[int]) -> tuple[float, ...]:
    """Return the geometric mean of |λmin/λmax| of each analysis; empty where one has none."""
    rows = [[r.ratio for r in class_records(a, classes) if r.ratio] for a in analyses]
    return tuple(statistics.geometric_mean(row) for row in rows) if all(rows) else ()
