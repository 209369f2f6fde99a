"""Tables of a study: each class of a recipe, and each recipe as a whole, over seeds."""

import statistics
from collections.abc import Mapping, Sequence

from spectra.results.recipe_rows import class_records, recipe_rows
from spectra.results.study_result import StudyResult

CLASS_COLUMNS = (
    "class", "n", "accuracy %", "λmin", "λmax", "|λmin/λmax|", "‖g‖", "lowered %", "bending %",
    "verdict",
)  # fmt: skip
RECIPE_COLUMNS = (
    "recipe", "seeds", "accuracy %", "head %", "mid %", "tail %", "|λmin/λmax| head",
    "|λmin/λmax| tail", "curvature of tail classes",
)  # fmt: skip


def class_cells(
    result: StudyResult, recipe: str, split: str = "train"
) -> tuple[str, list[list[str]]]:
    """Return a title and one row for each loss of a recipe at its last epoch, over seeds.

    Numbers are medians over seeds with the range behind them; verdicts are counted. ``lowered`` is
    the part of the loss that a step within r removes, ``bending`` the part of that which negative
    curvature brings.
    """
    last = result.last(recipe, split)
    epoch = last[0].checkpoint.epoch
    rows = []
    for record in last[0].records:
        same = [a.record(record.label) for a in last]
        bent = [r.bending for r in same if r.bending is not None]
        rows.append(
            [
                record.label,
                str(record.n),
                _spread([100 * r.accuracy for r in same if r.accuracy is not None], "{:.1f}"),
                _spread([r.lambda_min for r in same]),
                _spread([r.lambda_max for r in same]),
                _spread([r.ratio for r in same if r.ratio is not None]),
                _spread([r.grad_norm for r in same]),
                _spread([100 * b.lowered_with for b in bent if b.lowered_with is not None]),
                _spread([100 * b.share for b in bent]),
                _counted([r.verdict.name for r in same]),
            ]
        )
    seeds = f"median [range] of {len(last)} seeds" if len(last) > 1 else "1 seed"
    return f"{recipe}, epoch {epoch}, {split} images, {seeds}", rows


def recipe_cells(
    result: StudyResult, groups: Mapping[str, Sequence[int]], split: str = "train"
) -> list[list[str]]:
    """Return the recipes' rows as text, with the verdicts of the tail classes."""
    rows = []
    for summary in recipe_rows(result, groups, split):
        last = result.last(summary.recipe, split)
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
                _counted([r.verdict.name for a in last for r in class_records(a, groups["tail"])]),
            ]
        )
    return rows


def mean_sd(values: Sequence[float], form: str = "{:.1f}") -> str:
    """Return ``mean ± sd`` (sample), the mean alone for one value, a dash for none."""
    if not values:
        return "-"
    mean = form.format(statistics.fmean(values))
    return mean if len(values) == 1 else f"{mean} ± {form.format(statistics.stdev(values))}"


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
