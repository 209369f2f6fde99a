"""``spectra trajectory``: |λmin/λmax| over the checkpoints of one or more runs."""

from pathlib import Path
from typing import Any

import click

from checkpoints import LoadOptions, list_checkpoints
from checkpoints.analysis.trajectory import analyze_trajectory, common_switch
from cli import options
from cli.display import number, print_json, print_paths, print_table, reporting, unsettled
from figures.drawing import draw_trajectories
from spectra.errors import InputError
from spectra.system.progress import within


@click.command(short_help="|λmin/λmax| over the checkpoints of runs.")
@click.argument("runs", nargs=-1, required=True)
@options.data_source
@options.what
@options.solver
@options.foreign
@options.output
@options.seed
@options.device
@options.as_json
def trajectory(
    runs: tuple[str, ...],
    source: str | None,
    arch: str | None,
    num_classes: int | None,
    head: str | None,
    output: Path | None,
    seed: int,
    device: str,
    as_json: bool,
    **rest: Any,
) -> None:
    """Analyze every checkpoint of RUNS and draw |λmin/λmax| over training, run beside run.

    RUNS are folders written by 'spectra train', folders of <epoch>_ckpt.pth.tar files, or
    bundled:digits/RECIPE. Finished checkpoints are not computed again.
    """
    if rest["classes"] is None:
        rest["classes"] = "head,mid,tail,overall"
    extremes_alone = 0 if rest["engine"] == "spectra" else 1
    request = options.analysis_request(
        rest, seed=seed, device=device, num_probes=extremes_alone, proof=False
    )
    loading = LoadOptions(arch, num_classes, head)
    names = [run.removeprefix("bundled:").rstrip("/").rpartition("/")[2] for run in runs]
    if len(set(names)) < len(names):
        raise InputError(f"runs must have different folder names, got {', '.join(names)}")
    for run in runs:
        list_checkpoints(run)
    folder = options.writable(output or Path("runs") / f"trajectory-{'-'.join(names)}")
    series = {}
    with reporting("analyzing") as report:
        for name, run in zip(names, runs, strict=True):
            series[name] = analyze_trajectory(
                run,
                request,
                folder=folder / name,
                source=source,
                options=loading,
                on_progress=within(report.update, name),
            )
    switch = common_switch(a for analyses in series.values() for a in analyses)
    written = draw_trajectories(series, folder, switch_epoch=switch)
    if as_json:
        print_json(
            {
                "runs": {
                    name: [{"epoch": a.checkpoint.epoch, "classes": a.rows()} for a in analyses]
                    for name, analyses in series.items()
                },
                "files": [str(path) for path in written],
            }
        )
        return
    for name, analyses in series.items():
        labels = [record.label for record in analyses[0].records]
        rows = [
            [
                str(a.checkpoint.epoch),
                *(number(r.ratio) + "*" * unsettled(r) for r in a.records),
            ]
            for a in analyses
        ]
        print_table(f"{name}: |λmin/λmax|", ["epoch", *labels], rows)
    if any(unsettled(r) for analyses in series.values() for a in analyses for r in a.records):
        click.echo(
            f"*: λmin or λmax has not converged in {request.solver.max_steps} steps; "
            "raise --max-steps"
        )
    click.echo("written:")
    print_paths(written)
