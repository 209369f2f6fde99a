"""The tables of a study: the classes of each recipe, and the recipes as a whole, over seeds."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from cli.display.tables import Table
from cli.display.words import number, percent, whole_percent
from spectra import LossAnalysis
from spectra.results.groups.by_size import names_of
from spectra.results.recipe_rows import class_records, recipe_rows
from spectra.results.said.short_words import verdict_legend, verdict_word
from spectra.results.study_result import StudyResult

_SHARES = {
    "lowered %": "of the loss, what a step within r takes off",
    "bending %": "of that decrease, what negative curvature brings",
}


def study_tables(result: StudyResult, groups: Mapping[str, Sequence[int]]) -> list[Table]:
    """Return the classes of every recipe, then the recipes, on the images of each split.

    Args:
        result: of the study.
        groups: classes of ``head``, ``mid`` and ``tail``, or of ``many``, ``medium`` and ``few``.
    """
    tables = []
    for split in result.splits:
        tables += [classes_table(result, recipe, split) for recipe in result.recipes]
        tables.append(recipes_table(result, groups, split))
    return tables


def classes_table(result: StudyResult, recipe: str, split: str = "train") -> Table:
    """Return a row for each loss of a recipe at its last epoch: the median over seeds.

    What the seeds range over stands in rows of their own below the medians, where there are
    several; verdicts are counted.
    """
    last = result.last(recipe, split)
    rows = []
    for record in last[0].records:
        same = [a.record(record.label) for a in last]
        rows.append([record.label, str(record.n), *_cells(same, statistics.median),
                     _counted([r.verdict.name for r in same])])  # fmt: skip
        if len(same) > 1:
            lows, highs = _cells(same, min), _cells(same, max)
            rows += [["", "from", *lows, ""], ["", "to", *highs, ""]]
    seeds = f"medians of {len(last)} seeds and their range" if len(last) > 1 else "1 seed"
    names = [record.verdict.name for a in last for record in a.records]
    return Table(
        f"{recipe}, epoch {last[0].checkpoint.epoch}, {split} images, {seeds}",
        ["class", "n", f"{split} %", *["test %"] * (split != "test"), "λmin", "λmax", "ratio",
         "‖g‖", *_SHARES, "verdict"],
        [row if split != "test" else [*row[:2], *row[3:]] for row in rows],
        optional=["‖g‖", "test %"],
        meanings={
            f"{split} %": f"of the {split} images, those that the network gets right",
            "ratio": "|λmin/λmax|",
            **_SHARES,
        },
        words=verdict_legend(names),
    ).without_empty("test %", *_SHARES)  # fmt: skip


def recipes_table(
    result: StudyResult, groups: Mapping[str, Sequence[int]], split: str = "train"
) -> Table:
    """Return a row for each recipe: accuracy and ratio, mean ± sd over seeds."""
    rows, names = [], []
    largest, between, smallest = names_of(groups)
    for summary in recipe_rows(result, groups, split):
        last = result.last(summary.recipe, split)
        tail = [r.verdict.name for a in last for r in class_records(a, groups[smallest])]
        names += tail
        accuracies = (summary.overall, summary.head, summary.mid, summary.tail)
        rows.append(
            [
                summary.recipe,
                str(len(summary.seeds)),
                *(_mean_sd([100 * value for value in values], "{:.1f}") for values in accuracies),
                _mean_sd(summary.ratio_head, "{:.3f}"),
                _mean_sd(summary.ratio_tail, "{:.3f}"),
                _counted(tail),
            ]
        )
    return Table(
        f"Recipes, curvature on {split} images, mean ± sd over seeds",
        ["recipe", "seeds", "all %", f"{largest} %", f"{between} %", f"{smallest} %",
         f"ratio {largest}", f"ratio {smallest}", f"{smallest} classes"],
        rows,
        optional=["seeds", f"{between} %"],
        meanings={
            "all %": "test images that the network gets right; "
            f"{largest}, {between}, {smallest}: of those classes",
            f"ratio {largest}": f"|λmin/λmax| of the loss of the {largest} classes; "
            f"ratio {smallest} likewise",
            f"{smallest} classes": "their verdicts",
        },
        words=verdict_legend(names),
    )  # fmt: skip


def _cells(same: Sequence[LossAnalysis], over: Callable[[Sequence[float]], float]) -> list[str]:
    """Return the cells between ``n`` and the verdict of one loss under several seeds."""
    bent = [r.bending for r in same if r.bending is not None]
    columns: list[tuple[list[float | None], Callable[[float | None], str]]] = [
        ([r.fit_accuracy for r in same], _accuracy),
        ([r.accuracy for r in same], _accuracy),
        ([r.lambda_min for r in same], number),
        ([r.lambda_max for r in same], number),
        ([r.ratio for r in same], number),
        ([r.grad_norm for r in same], number),
        ([b.lowered_with for b in bent], whole_percent),
        ([b.share for b in bent], whole_percent),
    ]
    cells = []
    for values, shown in columns:
        known = [value for value in values if value is not None]
        cells.append(shown(over(known) if known else None))
    return cells


def _accuracy(value: float | None) -> str:
    return percent(value).removesuffix(" %")


def _mean_sd(values: Sequence[float], form: str) -> str:
    """Return ``mean ± sd`` (sample), the mean alone for one value, a dash for none."""
    if not values:
        return "-"
    mean = form.format(statistics.fmean(values))
    return mean if len(values) == 1 else f"{mean} ± {form.format(statistics.stdev(values))}"


def _counted(names: Sequence[str]) -> str:
    """Return ``2 negative, 1 open``, or the word alone where there is one."""
    words = [verdict_word(name) for name in names]
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    if len(words) == 1:
        return words[0]
    return ", ".join(f"{count} {word}" for word, count in counts.items())
