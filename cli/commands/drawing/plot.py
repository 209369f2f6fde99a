"""``spectra plot``: draw stored results again; no network, no products."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.display.lines import print_paths
from cli.display.progress import reporting
from cli.options import shared
from cli.options.flags import OUTPUT, Flag, command
from cli.options.values import Folder, hold
from figures.style.saving import FORMATS, WRITTEN_FORMATS
from spectra.errors import InputError
from spectra.system.files.names import file_name
from spectra.system.files.places import writing_under

if TYPE_CHECKING:
    from spectra import Analysis


@command(
    short_help="Draw stored results again.",
    examples="""
    # the densities of an analysis, as PDF
    spectra plot runs/mine --format pdf
    # all figures of a study, for one column of a paper
    spectra plot runs/demo/results.json --study study.toml --width single -o drawn
    """,
)
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--study", type=click.Path(path_type=Path), help="The TOML of a results.json.")
@click.option(
    "--kind",
    type=click.Choice(["density", "grid", "trajectory"]),
    default="density",
    show_default=True,
    help="density: a figure for each file; grid: files as rows; trajectory: files as epochs.",
)
@click.option("--classes", help="Records to draw, such as head,tail,8. [all]")
@click.option("--sigma", type=float, help="Smoothing width. [as PyHessian's]")
@shared.figure_width
@Flag(
    "--format",
    "formats",
    heading=OUTPUT,
    multiple=True,
    type=click.Choice(FORMATS),
    help="Give it several times for several. [png and pdf]",
)
@Flag("-o", "--output", heading=OUTPUT, type=Folder(), help="Folder. [beside the file]")
def plot(
    results: tuple[Path, ...],
    study: Path | None,
    kind: str,
    classes: str | None,
    sigma: float | None,
    formats: tuple[str, ...],
    width: str,
    output: Path | None,
) -> None:
    """Draw RESULTS: analysis.json files or their folders, or with --study, a results.json.

    Folders of 'spectra trajectory' are drawn as trajectories.
    """
    with reporting("drawing"):
        written = _draw(results, study, kind, classes, sigma, formats, width, output)
    print_paths(written)


def _draw(
    results: tuple[Path, ...],
    study: Path | None,
    kind: str,
    classes: str | None,
    sigma: float | None,
    formats: tuple[str, ...],
    width: str,
    output: Path | None,
) -> list[Path]:
    """Return the files of the figures that were asked for."""
    from checkpoints import load_study
    from checkpoints.analysis.trajectory import common_switch, switch_epochs
    from figures import (
        density_pages,
        draw_analysis,
        draw_study,
        draw_trajectories,
        save_pages,
    )
    from spectra import load_analysis
    from spectra.results.groups.many import are_many
    from spectra.results.study_result import load_study_result

    held = "analysis.json" if study is None else "results.json"
    found = {path: _epochs(path) if study is None else [] for path in results}
    if any(found.values()) and kind == "density":  # a folder of 'spectra trajectory'
        kind = "trajectory"
    results = tuple(
        file
        for path, epochs in found.items()
        for file in epochs or [path / held if path.is_dir() else path]
    )
    chosen = formats or WRITTEN_FORMATS
    folder = hold(output or results[0].parent)
    if study is not None:
        if len(results) != 1:
            raise InputError(f"--study takes one results.json, got {len(results)} files")
        result = load_study_result(results[0])
        described = load_study(study)
        return draw_study(
            result,
            folder,
            groups=described.groups_in(result),
            density_classes=described.density_classes,
            switch_epochs=switch_epochs(result.trajectories),
            formats=chosen,
            width=width,
        )
    analyses = {path.parent.name + "/" + path.stem: load_analysis(path) for path in results}
    if len(analyses) < len(results):
        raise InputError(
            "two of the results have one name, in folders of one name; rename a folder, or draw "
            "one after the other"
        )
    labels = None if classes is None else [part for part in classes.split(",") if part]
    written: list[Path] = []
    if kind == "trajectory":
        runs: dict[str, list[Analysis]] = {}
        for analysis in analyses.values():
            runs.setdefault(analysis.checkpoint.name, []).append(analysis)
        written += draw_trajectories(
            runs,
            folder,
            labels=labels,
            switch_epoch=common_switch(analyses.values()),
            formats=chosen,
            width=width,
        )
    elif kind == "grid":
        first = next(iter(analyses.values()))
        columns = labels or [record.label for record in first.records]
        if are_many(columns):
            raise InputError(
                f"a grid has a panel for each of {len(columns)} losses and each file; name some of "
                "them, such as --classes head,tail,8"
            )
        pages = density_pages(analyses, columns, sigma=sigma, width=width)
        written += save_pages(pages, folder, "density-grid", chosen)
    else:
        stems = {path.stem for path in results}
        for path, analysis in zip(results, analyses.values(), strict=True):
            place = output or path.parent
            if output and len(results) > 1:
                named = (
                    path.stem if len(stems) == len(results) else f"{path.parent.name}-{path.stem}"
                )
                place = output / file_name(named)
            with writing_under(place):
                written += draw_analysis(
                    analysis, place, labels=labels, sigma=sigma, formats=chosen, width=width
                )
        if not written:
            raise InputError(
                "the results hold no density: they are of extremes alone; draw checkpoints over "
                "epochs with --kind trajectory, or analyze with --num-probes"
            )
    return written


def _epochs(path: Path) -> list[Path]:
    """Return the results by epoch in a folder of 'spectra trajectory'; of another none."""
    if not path.is_dir() or (path / "analysis.json").exists():
        return []
    return sorted(path.glob("epoch-*.json")) or sorted(path.glob("*/epoch-*.json"))
