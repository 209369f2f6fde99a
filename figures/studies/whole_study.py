"""Which figures and tables a study gets, and where they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from figures.density import density_pages
from figures.studies.accuracy import class_accuracies, plot_accuracy
from figures.studies.contrast import plot_contrast
from figures.studies.recipes import plot_recipe_table, recipe_table_markdown
from figures.style.comparable import infer_groups
from figures.style.saving import WRITTEN_FORMATS, save_pages
from figures.trajectory import labels_of, trajectory_pages
from spectra import Analysis
from spectra.errors import InputError
from spectra.results.groups.by_size import in_words_of, names_of
from spectra.results.recipe_rows import recipe_rows
from spectra.results.study_result import StudyResult
from spectra.system.files.names import file_name
from spectra.system.files.writing import write_atomically

RATIO_NOTE = (
    "Accuracy: mean of the class accuracies on test images, in percent. |λmin/λmax|: geometric "
    "mean over the classes of the group."
)


def draw_study(
    result: StudyResult,
    folder: str | Path,
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    density_classes: Sequence[str] = ("head", "tail", "overall"),
    switch_epochs: Mapping[str, int] | None = None,
    formats: Sequence[str] = WRITTEN_FORMATS,
    width: str = "screen",
) -> list[Path]:
    """Draw a study: densities, trajectories, contrast, accuracy, and the table of recipes.

    Args:
        result: of the study.
        folder: where ``recipes.md`` and ``figures/`` go.
        groups: classes of ``head``, ``mid`` and ``tail``, or of ``many``, ``medium`` and ``few``,
            as ``Study.groups_in`` gives them; None: those of the records of these names.
        density_classes: records in the density figures, of the first seed; those that were not
            analyzed are left out. ``tail`` is also ``few``, and so are the others.
        switch_epochs: from which epoch re-weighting set in, by recipe.
        formats: of ``png``, ``pdf``, ``svg``.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper; the
            table of recipes is as wide as its columns are.

    Raises:
        InputError: the groups are not given, and not all of them were analyzed as a whole.
    """
    folder = Path(folder)
    groups = groups or infer_groups(result.analyses)
    if not set(groups) >= set(names_of(groups)):
        raise InputError(
            f"groups must say which classes are {', '.join(names_of(groups))}; the results name "
            f"{', '.join(groups) or 'none'}"
        )
    written: list[Path] = []
    for split in result.splits:
        written += _draw_split(
            result, split, folder, groups, density_classes, switch_epochs or {}, formats, width
        )
    accuracies = _accuracies(result)
    if accuracies:
        counts = result.analyses[0].checkpoint.class_counts
        figure = plot_accuracy(accuracies, class_counts=counts, groups=groups, width=width)
        written += save_pages([figure], folder / "figures", "accuracy", formats)
    return written


def _draw_split(
    result: StudyResult,
    split: str,
    folder: Path,
    groups: Mapping[str, Sequence[int]],
    density_classes: Sequence[str],
    switch_epochs: Mapping[str, int],
    formats: Sequence[str],
    width: str,
) -> list[Path]:
    """Draw what there is of the images of one split."""
    written: list[Path] = []
    place, suffix = folder / "figures", "" if split == "train" else f"-{file_name(split)}"
    last = {recipe: result.last(recipe, split) for recipe in result.recipes}
    known = {record.label for record in last[result.recipes[0]][0].records}
    labels = [
        label for label in (in_words_of(groups, x) for x in density_classes) if label in known
    ]
    pairs = _pairs(last)
    shown = [analysis for pair in pairs.values() for analysis in pair.values()]
    for base, pair in pairs.items():
        if labels:
            pages = density_pages(pair, labels, width=width, beside=shown)
            written += save_pages(pages, place, f"density-{file_name(base)}{suffix}", formats)
    if any(a.protocol.split == split for a in result.trajectories):
        for base, pair in pairs.items():
            series = {name: [a for run in result.runs(name, split) for a in run] for name in pair}
            switches = {switch_epochs[name] for name in pair if name in switch_epochs}
            switch = switches.pop() if len(switches) == 1 else None
            pages = trajectory_pages(
                series, labels=labels_of(series), switch_epoch=switch, width=width
            )
            written += save_pages(pages, place, f"trajectory-{file_name(base)}{suffix}", formats)
    if all(str(c) in known for classes in groups.values() for c in classes):
        figure = plot_contrast(last, groups=groups, width=width)
        written += save_pages([figure], place, f"contrast{suffix}", formats)
    rows = recipe_rows(result, groups, split)
    table = folder / f"recipes{suffix}.md"
    write_atomically(table, recipe_table_markdown(rows, note=RATIO_NOTE).encode())
    figure = plot_recipe_table(rows, note=RATIO_NOTE, title=f"Recipes; curvature on {split} images")
    return [*written, table, *save_pages([figure], place, f"recipes{suffix}", formats)]


def _pairs(last: Mapping[str, Sequence[Analysis]]) -> dict[str, dict[str, Analysis]]:
    """Return, for each recipe without SAM, its first seed's analysis and that of its SAM twin."""
    pairs: dict[str, dict[str, Analysis]] = {}
    for recipe, analyses in last.items():
        pairs.setdefault(recipe.removesuffix("-sam"), {})[recipe] = analyses[0]
    return pairs


def _accuracies(result: StudyResult) -> dict[str, list[list[float]]]:
    """Return class accuracies by recipe and seed; empty where some were not measured."""
    series: dict[str, list[list[float]]] = {}
    for recipe in result.recipes:
        for analysis in result.last(recipe, result.splits[0]):
            try:
                series.setdefault(recipe, []).append(list(class_accuracies(analysis)))
            except InputError:
                return {}
    return series
