"""How a study ends: a table of its recipes, and one sentence of what it shows."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.cells import cell_len

from spectra.results.groups.by_size import names_of
from spectra.results.recipe_rows import RecipeRow, class_records, recipe_rows
from spectra.results.said.short_words import verdict_word
from spectra.results.study_result import StudyResult
from spectra.system.foreign_text import short_name

# Ours: as wide as a terminal is when it opens.
_WIDTH = 80
_HEADING = "|λmin/λmax| (accuracy)"


def closing_lines(result: StudyResult, groups: Mapping[str, Sequence[int]]) -> list[str]:
    """Return a table of head and tail by recipe, and a sentence, over held-out images if any.

    Args:
        result: of the study.
        groups: classes of ``head``, ``mid`` and ``tail``, or of ``many``, ``medium`` and ``few``.
    """
    split = result.splits[-1]
    rows = recipe_rows(result, groups, split)
    names = [short_name(row.recipe) for row in rows]
    largest, _, smallest = names_of(groups)
    head = [_cell(row.ratio_head, row.head) for row in rows]
    tail = [_cell(row.ratio_tail, row.tail) for row in rows]
    wide = [
        [_HEADING, *names],
        [f"{largest}, {split} images", *head],
        [f"{smallest}, {split} images", *tail],
    ]
    table = _aligned(wide)
    if max(map(cell_len, table)) > _WIDTH:
        high = [
            [f"{_HEADING}, {split} images", largest, smallest],
            *zip(names, head, tail, strict=True),
        ]
        table = _aligned(high)
    return [*table, f"{_contrast(rows, largest, smallest)}. {_verdicts(result, groups, split)}."]


def _cell(ratios: Sequence[float], accuracies: Sequence[float]) -> str:
    """Return the mean over seeds of both, those that were measured."""
    ratio = f"{statistics.fmean(ratios):.3f}" if ratios else "-"
    return f"{ratio} ({100 * statistics.fmean(accuracies):.0f} %)" if accuracies else ratio


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _contrast(rows: Sequence[RecipeRow], largest: str, smallest: str) -> str:
    """Say how the ratio of the smallest classes compares with that of the largest."""
    factors = [
        statistics.fmean(row.ratio_tail) / statistics.fmean(row.ratio_head)
        for row in rows
        if row.ratio_head and row.ratio_tail
    ]
    if not factors:
        return f"{largest.capitalize()} and {smallest} were not both measured"
    low, high = f"{min(factors):.2g}", f"{max(factors):.2g}"
    size = low if low == high else f"{low} to {high}"
    return f"The {smallest}'s |λmin/λmax| is {size} times the {largest}'s"


def _verdicts(result: StudyResult, groups: Mapping[str, Sequence[int]], split: str) -> str:
    """Say how many of the classes have which verdict."""
    everything = [c for classes in groups.values() for c in classes]
    names = Counter(
        verdict_word(record.verdict.name)
        for recipe in result.recipes
        for analysis in result.last(recipe, split)
        for record in class_records(analysis, everything)
    )
    return "Verdicts: " + ", ".join(
        f"{name} ({n} of {names.total()})" for name, n in names.most_common()
    )
