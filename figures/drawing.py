"""Which figures a result, a trajectory and a reproduction get, and where they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from figures.density import density_pages
from figures.directions.theorem import theorem_pages
from figures.layers import plot_layers
from figures.many_classes.by_size import plot_classes_by_size
from figures.many_classes.over_training import groups_over_training_pages
from figures.overlaps import RUNS_ON_A_PAGE, plot_overlaps
from figures.paging import parts
from figures.protocol_ratios import plot_protocols
from figures.studies.published import plot_published
from figures.style.class_colours import counts_of
from figures.style.saving import WRITTEN_FORMATS, save_figure, save_pages
from figures.style.sheet import PANELS
from figures.trajectory import labels_of, trajectory_pages
from spectra import Analysis, LossAnalysis
from spectra.results.groups.many import are_many
from spectra.results.groups.summary import single_classes
from spectra.results.protocol_rows import protocol_rows
from spectra.results.reproduction_result import ReproductionResult
from spectra.system.files.names import file_name


def draw_analysis(
    analysis: Analysis,
    folder: str | Path,
    *,
    labels: Sequence[str] | None = None,
    sigma: float | None = None,
    formats: Sequence[str] = WRITTEN_FORMATS,
    width: str = "screen",
) -> list[Path]:
    """Draw the densities of the records that have one, up to six panels a page, and the layers.

    Of more than 200 losses every class is a point against its size (``classes.png``), and
    densities and layers are those of the groups' losses and of the three classes at either end of
    λmin.

    All pages have the same axes and the same smoothing; with more than six losses, classes of
    the head stand above classes of the tail on one page (:func:`figures.density_pages`).

    Args:
        analysis: one result.
        folder: where ``density.png`` and so on go.
        labels: which records; None: all.
        sigma: width of the smoothing, eigenvalue units; None for the reference width.
        formats: of ``png``, ``pdf``, ``svg``.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.

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
    title = analysis.checkpoint.name
    written = []
    if not labels and are_many(analysis.records):
        figure = plot_classes_by_size(analysis, title=title, width=width)
        written += save_figure(figure, folder / "classes", formats)
        analysis = replace(analysis, records=_shown_alone(analysis.records))
    labels = labels or [r.label for r in analysis.records if r.spectrum is not None]
    if labels:
        pages = density_pages({"": analysis}, labels, sigma=sigma, title=title, width=width)
        written += save_pages(pages, folder, "density", formats)
    if any(record.layers for record in analysis.records):
        figure = plot_layers(analysis, title=title, width=width)
        written += save_figure(figure, folder / "layers", formats)
    return written


def _shown_alone(records: Sequence[LossAnalysis]) -> tuple[LossAnalysis, ...]:
    """Return the losses of groups, and the classes at either end of λmin, as many as a page has."""
    single = sorted(single_classes(records), key=lambda r: (r.lambda_min, r.classes))
    half = PANELS // 2
    chosen = {r.label for r in (*single[:half], *single[-half:])}
    chosen |= {r.label for r in records} - {r.label for r in single}
    return tuple(r for r in records if r.label in chosen)


def draw_trajectories(
    series: Mapping[str, Sequence[Analysis]],
    folder: str | Path,
    *,
    labels: Sequence[str] | None = None,
    switch_epoch: int | None = None,
    formats: Sequence[str] = WRITTEN_FORMATS,
    width: str = "screen",
) -> list[Path]:
    """Draw |λmin/λmax| over the epochs, one panel a run.

    Of more than 200 losses the curves are those of groups of classes, medians with bands.
    Where checkpoints were warm-started, also how far the extreme eigenvectors turned between them.

    Args:
        series: results of each run, every epoch and seed in one sequence.
        folder: where ``trajectory.png`` and so on go.
        labels: which records; None: all of the first result.
        switch_epoch: from which re-weighting set in, marked by a dashed line; None: no line.
        formats: of ``png``, ``pdf``, ``svg``.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    folder = Path(folder)
    wanted = labels or labels_of(series)
    if are_many(wanted):
        pages = groups_over_training_pages(series, switch_epoch=switch_epoch, width=width)
        # Of each class there is a cell for each epoch: those of groups alone are drawn.
        wanted = [label for label in wanted if not label.isdecimal()]
    else:
        pages = trajectory_pages(series, labels=wanted, switch_epoch=switch_epoch, width=width)
    written = save_pages(pages, folder, "trajectory", formats)
    warm = [
        name
        for name, runs in series.items()
        if any(r.overlaps and r.label in wanted for a in runs for r in a.records)
    ]
    turned = {name: series[name] for name in warm}
    if turned:
        pages = [
            plot_overlaps(dict(page), labels=wanted, width=width)
            for page in parts(list(turned.items()), RUNS_ON_A_PAGE)
        ]
        written += save_pages(pages, folder, "overlaps", formats)
    return written


def draw_reproduction(
    result: ReproductionResult,
    folder: str | Path,
    *,
    formats: Sequence[str] = WRITTEN_FORMATS,
    width: str = "screen",
) -> list[Path]:
    """Draw a reproduction: accuracies beside the published, or spectra under each protocol.

    Args:
        result: of the study, with what it measured.
        folder: where the figures go.
        formats: of ``png``, ``pdf``, ``svg``.
        width: ``screen``, or ``single`` or ``double`` for one or both columns of a paper.
    """
    folder = Path(folder)
    stamp = f"{result.title}; size {result.size}, data: {result.data}"
    written: list[Path] = []
    if result.theorems:
        for run, theorem in result.theorems.items():
            pages = theorem_pages(theorem, title=f"{stamp}; {run}", width=width)
            written += save_pages(pages, folder, f"theorem-{_slug(run)}", formats)
        return written
    if not result.analyses:
        figure = plot_published(result.rows, title=stamp, caption=result.source, width=width)
        return save_pages([figure], folder, file_name(result.study), formats)
    last = {
        run: protocol_rows({name: found[-1] for name, found in protocols.items()})
        for run, protocols in result.analyses.items()
    }
    every = [a for found in result.analyses.values() for runs in found.values() for a in runs]
    counts = counts_of(every)
    pages = [
        plot_protocols(dict(page), class_counts=counts, title=stamp, width=width)
        for page in parts(list(last.items()), PANELS)
    ]
    written += save_pages(pages, folder, "protocols", formats)
    for protocol in next(iter(result.analyses.values())):
        place, title = _slug(protocol), f"{stamp}; {protocol} images"
        found = {run: by_name[protocol] for run, by_name in result.analyses.items()}
        if result.over_training:
            pages = trajectory_pages(
                found,
                labels=labels_of(found),
                switch_epoch=result.switch_epoch,
                title=title,
                width=width,
            )
            written += save_pages(pages, folder, f"trajectories-{place}", formats)
        if result.density_classes:
            final = {run: analyses[-1] for run, analyses in found.items()}
            pages = density_pages(final, result.density_classes, title=title, width=width)
            written += save_pages(pages, folder, f"densities-{place}", formats)
    return written


def _slug(text: str) -> str:
    return file_name(text.replace(" ", "-").replace(":", "-").replace("/", "-"))
