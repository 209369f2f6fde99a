"""Which figures a result, a trajectory and a study get, and where they go."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from checkpoints.analysis.protocol_comparison import comparison_rows
from checkpoints.analysis.trajectory import switch_epoch
from checkpoints.studies.reproduction import Reproduction, ReproductionResult
from checkpoints.studies.study import Study
from checkpoints.studies.summary import recipe_summaries
from figures import (
    class_accuracies,
    density_grid,
    density_panels,
    plot_accuracy,
    plot_contrast,
    plot_overlaps,
    plot_protocols,
    plot_published,
    plot_recipe_table,
    plot_theorem,
    plot_trajectory,
    recipe_table_markdown,
    save_figure,
)
from spectra import Analysis
from spectra.errors import InputError
from spectra.results.study import StudyResult
from spectra.system.files import write_atomically

FORMATS = ("png", "pdf")
# Panels that stay legible on one page; more classes go to more pages.
PANELS = 5
RATIO_NOTE = (
    "Accuracy: mean of the class accuracies on test images, in percent. |λmin/λmax|: geometric "
    "mean over the classes of the group."
)


def draw_analysis(
    analysis: Analysis,
    folder: Path,
    *,
    labels: Sequence[str] | None = None,
    sigma: float | None = None,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Draw the densities of the records that have one, up to five panels a page.

    Args:
        analysis: one result.
        folder: where ``density.png`` and so on go.
        labels: which records; None: all.
        sigma: width of the smoothing, eigenvalue units; None for the reference width.
        formats: of ``png``, ``pdf``, ``svg``.
    """
    labels = labels or [r.label for r in analysis.records if r.spectrum is not None]
    pages = [labels[i : i + PANELS] for i in range(0, len(labels), PANELS)]
    written = []
    for k, page in enumerate(pages):
        name = "density" if len(pages) == 1 else f"density-{k + 1}"
        figure = density_panels(analysis, page, sigma=sigma, title=analysis.checkpoint.title)
        written += save_figure(figure, folder / name, formats)
    return written


def draw_trajectories(
    series: Mapping[str, Sequence[Analysis]],
    folder: Path,
    *,
    labels: Sequence[str] | None = None,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Draw |λmin/λmax| over the epochs, one panel a run, the DRW switch where there is one.

    Where checkpoints were warm-started, also how far the extreme eigenvectors turned between them.
    """
    written = save_figure(_trajectory_figure(series, labels), folder / "trajectory", formats)
    if any(r.overlaps for runs in series.values() for a in runs for r in a.records):
        wanted = labels or [record.label for record in next(iter(series.values()))[0].records]
        figure = plot_overlaps(series, labels=wanted)
        written += save_figure(figure, folder / "overlaps", formats)
    return written


def draw_study(
    result: StudyResult, study: Study, folder: Path, *, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Draw a study: densities, trajectories, contrast, accuracy, and the table of recipes."""
    written: list[Path] = []
    place = folder / "figures"
    for split in result.splits:
        suffix = "" if split == "train" else f"-{split}"
        last = {recipe: result.last(recipe, split) for recipe in result.recipes}
        first = last[result.recipes[0]][0]
        groups = study.request.groups_of(first.checkpoint.class_counts)
        known = {record.label for record in first.records}
        for base, pair in _pairs(last).items():
            labels = [label for label in study.density_classes if label in known]
            if labels:
                figure = density_grid(pair, labels)
                written += save_figure(figure, place / f"density-{base}{suffix}", formats)
        if any(a.protocol.split == split for a in result.trajectories):
            for base, pair in _pairs(last).items():
                series = {
                    name: [a for run in result.runs(name, split) for a in run] for name in pair
                }
                written += save_figure(
                    _trajectory_figure(series), place / f"trajectory-{base}{suffix}", formats
                )
        if all(str(c) in known for classes in groups.values() for c in classes):
            figure = plot_contrast(last, groups=groups)
            written += save_figure(figure, place / f"contrast{suffix}", formats)
        rows = recipe_summaries(result, study, split)
        table = folder / f"recipes{suffix}.md"
        write_atomically(table, recipe_table_markdown(rows, note=RATIO_NOTE).encode())
        figure = plot_recipe_table(
            rows, note=RATIO_NOTE, title=f"Recipes; curvature on {split} images"
        )
        written += [table, *save_figure(figure, place / f"recipes{suffix}", formats)]
    accuracies = _accuracies(result)
    if accuracies:
        split = result.splits[0]
        first = result.last(result.recipes[0], split)[0]
        counts = first.checkpoint.class_counts
        figure = plot_accuracy(
            accuracies, class_counts=counts, groups=study.request.groups_of(counts)
        )
        written += save_figure(figure, place / "accuracy", formats)
    return written


def draw_reproduction(
    result: ReproductionResult,
    study: Reproduction,
    folder: Path,
    *,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Draw a reproduction: accuracies beside the published, or spectra under each protocol."""
    stamp = f"{study.title}; size {study.size}, data: {result.plain['data']}"
    if study.kind == "accuracy":
        figure = plot_published(result.plain["rows"], title=stamp, caption=study.source)
        return save_figure(figure, folder / study.name, formats)
    written = []
    if study.kind == "theorem":
        for run, plain in result.theorems.items():
            figure = plot_theorem(plain, title=f"{stamp}; {run}")
            written += save_figure(figure, folder / f"theorem-{_slug(run)}", formats)
        return written
    last = {
        run: comparison_rows({name: found[-1] for name, found in protocols.items()})
        for run, protocols in result.analyses.items()
    }
    figure = plot_protocols(last, title=stamp)
    written += save_figure(figure, folder / "protocols", formats)
    for protocol in study.images:
        place = _slug(protocol)
        found = {run: by_name[protocol] for run, by_name in result.analyses.items()}
        if study.every_epoch:
            figure = _trajectory_figure(found, title=f"{stamp}; {protocol} images")
            written += save_figure(figure, folder / f"trajectories-{place}", formats)
        if study.density:
            labels = study.classes.split(",")
            final = {run: analyses[-1] for run, analyses in found.items()}
            figure = density_grid(final, labels, title=f"{stamp}; {protocol} images")
            written += save_figure(figure, folder / f"densities-{place}", formats)
    return written


def _slug(text: str) -> str:
    return text.replace(" ", "-").replace(":", "-").replace("/", "-")


def _trajectory_figure(
    series: Mapping[str, Sequence[Analysis]],
    labels: Sequence[str] | None = None,
    *,
    title: str | None = None,
) -> Any:
    analyses = [a for runs in series.values() for a in runs]
    switches = {switch_epoch(a) for a in analyses} - {None}
    return plot_trajectory(
        series,
        labels=labels or [record.label for record in analyses[0].records],
        switch_epoch=switches.pop() if len(switches) == 1 else None,
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
