"""A report, gathered from result files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from figures.report.contents import Report
from figures.report.contents_of_rows import ClassRow
from figures.report.densities import shared_axes
from figures.report.found_results import FoundAnalysis, FoundResults, find_results
from figures.report.rows import class_rows
from figures.report.sections import compared, images_of, missing_sections
from figures.report.sources import source_of
from figures.report.styles import group_styles_of, label_styles_of, run_styles, runs_of
from figures.style.comparable import protocol_text, require_comparable
from spectra import Analysis
from spectra.results.groups.sentences import sample_sentences
from spectra.results.groups.summary import group_summaries
from spectra.system.foreign_text import short_name


def gather_report(runs: Iterable[str | Path | Analysis], *, title: str | None = None) -> Report:
    """Return all that a report shows; nothing is computed but what follows from the results.

    Args:
        runs: result files, folders with some in them, or results in memory.
        title: of the page; None: the runs.

    Raises:
        InputError: as for :func:`figures.report.found_results.find_results`; or two results are of
            different losses, reductions, images, matrices or parameters.
    """
    found = find_results(runs)
    analyses = found.analyses
    require_comparable((one.file or one.analysis.checkpoint.name, one.analysis) for one in analyses)
    places = runs_of(analyses)
    rows = class_rows(analyses, places)
    styles = run_styles(analyses, places)
    labels = label_styles_of(analyses)
    named = title or ", ".join(style.text for style in styles) or "Results"
    return Report(
        title=short_name(named),
        summary=_summary(rows, found),
        function=_function(analyses),
        labels=labels,
        groups=group_styles_of(analyses),
        samples=tuple(_samples(analyses, [styles[k].text for k in places])),
        runs=styles,
        rows=rows,
        axes=shared_axes([r for one in analyses for r in one.analysis.records]),
        protocols=tuple(compared(one) for one in found.protocols),
        images=tuple(loss for one in found.images for loss in images_of(one)),
        sources=tuple(source_of(one) for one in analyses),
        missing=missing_sections(found, rows),
    )


def _samples(analyses: Sequence[FoundAnalysis], runs: Sequence[str]) -> Iterator[str]:
    """Say of each result whose classes were drawn at random what the draw tells of its groups."""
    for one, run in zip(analyses, runs, strict=True):
        protocol = one.analysis.protocol
        if any(group.drawn for group in protocol.class_groups):
            for text in sample_sentences(group_summaries(one.analysis), protocol.solver):
                yield f"{run}, {one.analysis.checkpoint.title}: {text}"


def _function(analyses: Sequence[FoundAnalysis]) -> str:
    """Say which function was differentiated; which images of it, each row says."""
    if not analyses:
        return ""
    return short_name(protocol_text(replace(analyses[0].analysis.protocol, split=None)))


def _summary(rows: Sequence[ClassRow], found: FoundResults) -> str:
    """Say in a sentence what is in the report."""
    runs = {row.run for row in rows}
    classes = {row.label for row in rows if row.label.isdecimal()}
    groups = {row.label for row in rows} - classes
    points = {(row.run, row.epoch) for row in rows}
    splits = sorted({row.split for row in rows if row.split}, reverse=True)
    counted = [
        _counted(len(runs), "run"),
        _counted(len(points), "checkpoint"),
        _counted(len(classes), "class", "classes"),
        _counted(len(groups), "group of classes", "groups of classes"),
        _counted(sum(row.density is not None for row in rows), "density", "densities"),
        _counted(len(found.protocols), "comparison of images", "comparisons of images"),
        _counted(len(found.images), "ranking of images", "rankings of images"),
    ]
    images = f"; {' and '.join(splits)} images" if splits else ""
    return f"{', '.join(filter(None, counted))}{images}."


def _counted(count: int, one: str, several: str | None = None) -> str:
    if not count:
        return ""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
