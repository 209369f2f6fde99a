"""``spectra trajectory``: |λmin/λmax| over the checkpoints of one or more runs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.display.lines import print_paths, say
from cli.display.progress import reporting
from cli.display.styles import printed_for_others
from cli.display.tables import print_table
from cli.options import shared
from cli.options.analysis import AskedAnalysis, analysis_flags
from cli.options.completion import checkpoint_names
from cli.options.flags import command
from cli.options.values import hold
from spectra.errors import InputError
from spectra.system.files.names import file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpoints import LoadOptions
    from checkpoints.analysis.request import AnalysisRequest
    from checkpoints.analysis.shared_out.sharing import Sharing
    from spectra import Analysis
    from spectra.system.progress import Progress


@command(
    short_help="How the curvature of each class develops over training.",
    examples="""
    # a run that 'spectra train' wrote
    spectra trajectory runs/mine
    # two runs in one figure, head and tail alone
    spectra trajectory runs/one runs/two --class head,tail -o runs/both
    # by two processes
    torchrun --nproc-per-node 2 -m cli trajectory runs/mine
    """,
    over_ranks=True,
)
@click.argument("runs", nargs=-1, required=True, shell_complete=checkpoint_names)
@shared.source
@shared.loading
@analysis_flags
@shared.share
@shared.output
@shared.log_to
@shared.figure_width
@shared.style
def trajectory(
    runs: tuple[str, ...],
    source: str | None,
    loading: "LoadOptions",
    asked: AskedAnalysis,
    share: str,
    output: Path | None,
    log_to: tuple[str, ...],
    width: str,
    style: str,
) -> None:
    """Analyze every checkpoint of RUNS and draw |λmin/λmax| over training, run beside run.

    RUNS are folders written by 'spectra train', folders of <epoch>_ckpt.pth.tar files, or
    bundled:digits/RECIPE. Finished checkpoints are not computed again.
    """
    from checkpoints import list_checkpoints
    from checkpoints.analysis.shared_out.sharing import shared_out
    from checkpoints.analysis.trajectory import common_switch
    from cli.display.found.trajectories import stationary_table, trajectory_table
    from figures import draw_trajectories
    from spectra.results.writers.open_writers import check_places

    check_places(log_to)

    extremes_alone = 0 if asked["engine"] == "spectra" else 1
    request = asked.request(classes="head,mid,tail,overall", num_probes=extremes_alone, proof=False)
    names = [_name(run) for run in runs]
    if len({name.casefold() for name in names}) < len(names):
        raise InputError(f"runs must have different folder names, got {', '.join(names)}")
    for run in runs:
        list_checkpoints(run)
    folder = hold(output or Path("runs") / file_name(f"trajectory-{'-'.join(names)}"))
    with reporting("analyzing") as report:
        series = shared_out(
            lambda sharing: _analyze(
                dict(zip(names, runs, strict=True)),
                request,
                folder,
                source,
                loading,
                log_to if sharing is None else (),
                sharing,
                report.update,
            ),
            share,
        )
    if series is None:  # rank 0 has it, and writes and prints
        return
    switch = common_switch(a for analyses in series.values() for a in analyses)
    with reporting("drawing"):
        written = draw_trajectories(series, folder, switch_epoch=switch, width=width)
    tables = []
    for name, analyses in series.items():
        tables.append(trajectory_table(name, analyses, max_steps=request.solver.max_steps))
        if (near := stationary_table(name, analyses)) is not None:
            tables.append(near)
    of_epochs = {
        name: [{"epoch": a.checkpoint.epoch, "classes": a.rows()} for a in analyses]
        for name, analyses in series.items()
    }
    if printed_for_others(
        style,
        plain={"runs": of_epochs, "files": [str(path) for path in written]},
        rows=[
            {"run": name, "epoch": a.checkpoint.epoch, **row}
            for name, analyses in series.items()
            for a in analyses
            for row in a.rows()
        ],
        tables=tables,
        written=written,
    ):
        return
    for table in tables:
        print_table(table)
    say("written:")
    print_paths(written)
    if log_to:
        say(*(f"  {place}" for place in log_to))


def _analyze(
    runs: "Mapping[str, str]",
    request: "AnalysisRequest",
    folder: Path,
    source: str | None,
    loading: "LoadOptions",
    log_to: tuple[str, ...],
    sharing: "Sharing | None",
    on_progress: "Progress",
) -> "dict[str, list[Analysis]]":
    """Return what was found at the checkpoints of each run, by the run's name."""
    from checkpoints.analysis.trajectory import analyze_trajectory
    from spectra.results.writers.open_writers import writing_to
    from spectra.system.progress import within

    series = {}
    for k, (name, run) in enumerate(runs.items(), 1):
        described = {"loss": request.loss, "split": request.split}
        with writing_to(log_to, name, described) as writer:
            series[name] = analyze_trajectory(
                run,
                request,
                folder=folder / file_name(name),
                source=source,
                options=loading,
                sharing=None if sharing is None else sharing.of(name),
                on_progress=within(on_progress, name, part=k, of=len(runs)),
                on_analysis=writer.write,
            )
    return series


def _name(run: str) -> str:
    """Return what a run is called: its folder's name."""
    return Path(os.path.abspath(run.removeprefix("bundled:"))).name
