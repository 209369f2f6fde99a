"""Tables of a study: each class of a recipe, and each recipe as a whole, over seeds."""

import statistics
from collections.abc import Sequence

from checkpoints.studies.study import Study
from spectra import Analysis, LossAnalysis
from spectra.results.recipe_row import RecipeRow
from spectra.results.study import StudyResult

CLASS_COLUMNS = (
    "class", "n", "accuracy %", "λmin", "λmax", "|λmin/λmax|", "‖g‖", "ρ*", "verdict",
)  # fmt: skip
RECIPE_COLUMNS = (
    "recipe", "seeds", "accuracy %", "head %", "mid %", "tail %", "|λmin/λmax| head",
    "|λmin/λmax| tail", "verdicts of tail classes",
)  # fmt: skip


def class_rows(
    result: StudyResult, recipe: str, split: str = "train"
) -> tuple[str, list[list[str]]]:
    """Return a title and one row for each loss of a recipe at its last epoch, over seeds.

    Numbers are medians over seeds with the range behind them; verdicts are counted.
    """
    last = result.last(recipe, split)
    epoch = last[0].checkpoint.epoch
    rows = []
    for record in last[0].records:
        same = [a.record(record.label) for a in last]
        rows.append(
            [
                record.label,
                str(record.n),
                _spread([100 * r.accuracy for r in same if r.accuracy is not None], "{:.1f}"),
                _spread([r.lambda_min for r in same]),
                _spread([r.lambda_max for r in same]),
                _spread([r.ratio for r in same if r.ratio is not None]),
                _spread([r.grad_norm for r in same]),
                _spread([r.verdict.critical_radius for r in same if r.verdict.critical_radius]),
                _counted([r.verdict.name for r in same]),
            ]
        )
    seeds = f"median [range] of {len(last)} seeds" if len(last) > 1 else "1 seed"
    return f"{recipe}, epoch {epoch}, {split} images, {seeds}", rows


def recipe_summaries(result: StudyResult, study: Study, split: str = "train") -> list[RecipeRow]:
    """Return what each recipe's seeds reached at the last epoch.

    Accuracies are means of class accuracies on test images; ratios are geometric means over the
    classes of a group.
    """
    rows = []
    for recipe in result.recipes:
        last = result.last(recipe, split)
        groups = study.request.groups_of(last[0].checkpoint.class_counts)
        everything = tuple(c for classes in groups.values() for c in classes)
        rows.append(
            RecipeRow(
                recipe=recipe,
                seeds=tuple(a.checkpoint.seed or 0 for a in last),
                overall=_accuracies(last, everything),
                head=_accuracies(last, groups["head"]),
                mid=_accuracies(last, groups["mid"]),
                tail=_accuracies(last, groups["tail"]),
                ratio_head=_ratios(last, groups["head"]),
                ratio_tail=_ratios(last, groups["tail"]),
            )
        )
    return rows


def recipe_rows(result: StudyResult, study: Study, split: str = "train") -> list[list[str]]:
    """Return :func:`recipe_summaries` as text, with the verdicts of the tail classes."""
    rows = []
    for summary in recipe_summaries(result, study, split):
        last = result.last(summary.recipe, split)
        tail = study.request.groups_of(last[0].checkpoint.class_counts)["tail"]
        rows.append(
            [
                summary.recipe,
                str(len(summary.seeds)),
                *(
                    mean_sd([100 * value for value in values])
                    for values in (summary.overall, summary.head, summary.mid, summary.tail)
                ),
                mean_sd(summary.ratio_head, "{:.3f}"),
                mean_sd(summary.ratio_tail, "{:.3f}"),
                _counted([r.verdict.name for a in last for r in records_of(a, tail)]),
            ]
        )
    return rows


def records_of(analysis: Analysis, classes: Sequence[int]) -> list[LossAnalysis]:
    """Return the single-class records of ``classes``, those that were analyzed."""
    wanted = {str(c) for c in classes}
    return [record for record in analysis.records if record.label in wanted]


def mean_sd(values: Sequence[float], form: str = "{:.1f}") -> str:
    """Return ``mean ± sd`` (sample), the mean alone for one value, a dash for none."""
    if not values:
        return "-"
    mean = form.format(statistics.fmean(values))
    return mean if len(values) == 1 else f"{mean} ± {form.format(statistics.stdev(values))}"


def _accuracies(analyses: Sequence[Analysis], classes: Sequence[int]) -> tuple[float, ...]:
    """Return the mean class accuracy of each analysis; empty where one has none."""
    rows = [[r.accuracy for r in records_of(a, classes)] for a in analyses]
    if not all(rows) or any(value is None for row in rows for value in row):
        return ()
    return tuple(statistics.fmean(value for value in row if value is not None) for row in rows)


def _ratios(analyses: Sequence[Analysis], classes: Sequence[int]) -> tuple[float, ...]:
    """Return the geometric mean of |λmin/λmax| of each analysis; empty where one has none."""
    rows = [[r.ratio for r in records_of(a, classes) if r.ratio] for a in analyses]
    return tuple(statistics.geometric_mean(row) for row in rows) if all(rows) else ()


def _spread(values: Sequence[float], form: str = "{:.2g}") -> str:
    if not values:
        return "-"
    middle = form.format(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} [{form.format(min(values))}, {form.format(max(values))}]"


def _counted(names: Sequence[str]) -> str:
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    if len(names) == 1:
        return names[0]
    return ", ".join(f"{count} {name}" for name, count in counts.items())
