"""Which figures a result, a trajectory, a study and a reproduction get, and where they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from figures.accuracy import class_accuracies, plot_accuracy
from figures.contrast import plot_contrast
from figures.density import density_grid, density_panels
from figures.directions.theorem import plot_theorem
from figures.layers import plot_layers
from figures.overlaps import plot_overlaps
from figures.protocol_ratios import plot_protocols
from figures.published import plot_published
from figures.recipes import plot_recipe_table, recipe_table_markdown
from figures.style.class_colours import counts_of
from figures.style.comparable import infer_groups
from figures.style.saving import WRITTEN_FORMATS, save_figure
from figures.trajectory import plot_trajectory
from spectra import Analysis
from spectra.errors import InputError
from spectra.results.protocol_rows import protocol_rows
from spectra.results.recipe_rows import recipe_rows
from spectra.results.reproduction_result import ReproductionResult
from spectra.results.study_result import StudyResult
from spectra.system.files.names import file_name
from spectra.system.files.writing import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Panels that stay legible on one page; more classes go to more pages.
PANELS = 5
GROUPS = ("head", "mid", "tail")
RATIO_NOTE = (
    "Accuracy: mean of the class accuracies on test images, in percent. |λmin/λmax|: geometric "
    "mean over the classes of the group."
)


def draw_analysis(
    analysis: Analysis,
    folder: str | Path,
    *,
    labels: Sequence[str] | None = None,
    sigma: float | None = None,
    formats: Sequence[str] = WRITTEN_FORMATS,
) -> list[Path]:
    """Draw the densities of the records that have one, up to five panels a page, and the layers.

    Args:
        analysis: one result.
        folder: where ``density.png`` and so on go.
        labels: which records; None: all.
        sigma: width of the smoothing, eigenvalue units; None for the reference width.
        formats: of ``png``, ``pdf``, ``svg``.

    Returns:
        The files written, here as in the other functions of this module.

    Example:
        >>> from checkpoints import AnalysisRequest, analyze
        >>> from figures import draw_analysis
        >>> from spectra import SolverSettings
        >>> solver = SolverSettings(num_probes=1, num_steps=6, max_steps=6)
        >>> request = AnalysisRequest(classes="9", solver=solver)
        >>> found = analyze("bundled:digits/ce-drw", request=request)
        >>> [path.name for path in draw_analysis(found, "figures", formats=("png",))]
        ['density.png']
    """
    folder = Path(folder)
    labels = labels or [r.label for r in analysis.records if r.spectrum is not None]
    pages = [labels[i : i + PANELS] for i in range(0, len(labels), PANELS)]
    written = []
    for k, page in enumerate(pages):
        name = "density" if len(pages) == 1 else f"density-{k + 1}"
        figure = density_panels(analysis, page, sigma=sigma, title=analysis.checkpoint.title)
        written += save_figure(figure, folder / name, formats)
    if any(record.layers for record in analysis.records):
        figure = plot_layers(analysis, title=analysis.checkpoint.title)
        written += save_figure(figure, folder / "layers", formats)
    return written


def draw_trajectories(
    series: Mapping[str, Sequence[Analysis]],
    folder: str | Path,
    *,
    labels: Sequence[str] | None = None,
    switch_epoch: int | None = None,
    formats: Sequence[str] = WRITTEN_FORMATS,
) -> list[Path]:
    """Draw |λmin/λmax| over the epochs, one panel a run.

    Where checkpoints were warm-started, also how far the extreme eigenvectors turned between them.

    Args:
        series: results of each run, every epoch and seed in one sequence.
        folder: where ``trajectory.png`` and so on go.
        labels: which records; None: all of the first result.
        switch_epoch: from which re-weighting set in, marked by a dashed line; None: no line.
        formats: of ``png``, ``pdf``, ``svg``.
    """
    folder = Path(folder)
    figure = _trajectory(series, labels, switch_epoch=switch_epoch)
    written = save_figure(figure, folder / "trajectory", formats)
    if any(r.overlaps for runs in series.values() for a in runs for r in a.records):
        wanted = labels or [record.label for record in next(iter(series.values()))[0].records]
        figure = plot_overlaps(series, labels=wanted)
        written += save_figure(figure, folder / "overlaps", formats)
    return written


def draw_study(
    result: StudyResult,
    folder: str | Path,
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    density_classes: Sequence[str] = ("head", "tail", "overall"),
    switch_epochs: Mapping[str, int] | None = None,
    formats: Sequence[str] = WRITTEN_FORMATS,
) -> list[Path]:
    """Draw a study: densities, trajectories, contrast, accuracy, and the table of recipes.

    Args:
        result: of the study.
        folder: where ``recipes.md`` and ``figures/`` go.
        groups: classes of ``head``, ``mid`` and ``tail``, as ``Study.groups_in`` gives them; None:
            those of the records of these names.
        density_classes: records in the density figures, of the first seed; those that were not
            analyzed are left out.
        switch_epochs: from which epoch re-weighting set in, by recipe.
        formats: of ``png``, ``pdf``, ``svg``.

    Raises:
        InputError: the groups are not given, and not all of them were analyzed as a whole.
    """
    folder = Path(folder)
    groups = groups or infer_groups(result.analyses)
    if not set(groups) >= set(GROUPS):
        raise InputError(
            f"groups must say which classes are {', '.join(GROUPS)}; the results name "
            f"{', '.join(groups) or 'none'}"
        )
    written: list[Path] = []
    for split in result.splits:
        written += _draw_split(
            result, split, folder, groups, density_classes, switch_epochs or {}, formats
        )
    accuracies = _accuracies(result)
    if accuracies:
        counts = result.analyses[0].checkpoint.class_counts
        figure = plot_accuracy(accuracies, class_counts=counts, groups=groups)
        written += save_figure(figure, folder / "figures" / "accuracy", formats)
    return written


def draw_reproduction(
    result: ReproductionResult, folder: str | Path, *, formats: Sequence[str] = WRITTEN_FORMATS
) -> list[Path]:
    """Draw a reproduction: accuracies beside the published, or spectra under each protocol.

    Args:
        result: of the study, with what it measured.
        folder: where the figures go.
        formats: of ``png``, ``pdf``, ``svg``.
    """
    folder = Path(folder)
    stamp = f"{result.title}; size {result.size}, data: {result.data}"
    written: list[Path] = []
    if result.theorems:
        for run, theorem in result.theorems.items():
            figure = plot_theorem(theorem, title=f"{stamp}; {run}")
            written += _save(figure, folder, f"theorem-{_slug(run)}", formats)
        return written
    if not result.analyses:
        figure = plot_published(result.rows, title=stamp, caption=result.source)
        return _save(figure, folder, file_name(result.study), formats)
    last = {
        run: protocol_rows({name: found[-1] for name, found in protocols.items()})
        for run, protocols in result.analyses.items()
    }
    every = [a for found in result.analyses.values() for runs in found.values() for a in runs]
    figure = plot_protocols(last, class_counts=counts_of(every), title=stamp)
    written += save_figure(figure, folder / "protocols", formats)
    for protocol in next(iter(result.analyses.values())):
        place, title = _slug(protocol), f"{stamp}; {protocol} images"
        found = {run: by_name[protocol] for run, by_name in result.analyses.items()}
        if result.over_training:
            figure = _trajectory(found, switch_epoch=result.switch_epoch, title=title)
            written += _save(figure, folder, f"trajectories-{place}", formats)
        if result.density_classes:
            final = {run: analyses[-1] for run, analyses in found.items()}
            figure = density_grid(final, result.density_classes, title=title)
            written += _save(figure, folder, f"densities-{place}", formats)
    return written


def _draw_split(
    result: StudyResult,
    split: str,
    folder: Path,
    groups: Mapping[str, Sequence[int]],
    density_classes: Sequence[str],
    switch_epochs: Mapping[str, int],
    formats: Sequence[str],
) -> list[Path]:
    """Draw what there is of the images of one split."""
    written: list[Path] = []
    place, suffix = folder / "figures", "" if split == "train" else f"-{file_name(split)}"
    last = {recipe: result.last(recipe, split) for recipe in result.recipes}
    known = {record.label for record in last[result.recipes[0]][0].records}
    labels = [label for label in density_classes if label in known]
    for base, pair in _pairs(last).items():
        if labels:
            figure = density_grid(pair, labels)
            written += _save(figure, place, f"density-{file_name(base)}{suffix}", formats)
    if any(a.protocol.split == split for a in result.trajectories):
        for base, pair in _pairs(last).items():
            series = {name: [a for run in result.runs(name, split) for a in run] for name in pair}
            switches = {switch_epochs[name] for name in pair if name in switch_epochs}
            switch = switches.pop() if len(switches) == 1 else None
            figure = _trajectory(series, switch_epoch=switch)
            written += _save(figure, place, f"trajectory-{file_name(base)}{suffix}", formats)
    if all(str(c) in known for classes in groups.values() for c in classes):
        figure = plot_contrast(last, groups=groups)
        written += _save(figure, place, f"contrast{suffix}", formats)
    rows = recipe_rows(result, groups, split)
    table = folder / f"recipes{suffix}.md"
    write_atomically(table, recipe_table_markdown(rows, note=RATIO_NOTE).encode())
    figure = plot_recipe_table(rows, note=RATIO_NOTE, title=f"Recipes; curvature on {split} images")
    return [*written, table, *_save(figure, place, f"recipes{suffix}", formats)]


def _save(figure: Figure, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Write a figure in each format, whatever the end of its name looks like."""
    return [
        path for one in formats for path in save_figure(figure, folder / f"{name}.{one}", (one,))
    ]


def _slug(text: str) -> str:
    return file_name(text.replace(" ", "-").replace(":", "-").replace("/", "-"))


def _trajectory(
    series: Mapping[str, Sequence[Analysis]],
    labels: Sequence[str] | None = None,
    *,
    switch_epoch: int | None,
    title: str | None = None,
) -> Figure:
    first = next(a for runs in series.values() for a in runs)
    return plot_trajectory(
        series,
        labels=labels or [record.label for record in first.records],
        switch_epoch=switch_epoch,
        title=title,
    )


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
