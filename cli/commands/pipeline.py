"""``spectra pipeline``: a whole study, from training to figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.display.lines import note, print_json, say, there
from cli.display.progress import reporting
from cli.display.tables import print_table
from cli.options import launching, shared
from cli.options.flags import COMPUTING, DATA, OUTPUT, RECIPE, Flag, command
from cli.options.values import hold, pick_device
from spectra.system.files.names import file_name

if TYPE_CHECKING:
    from checkpoints.studies.launchers.launcher import Launcher
    from checkpoints.training.execution import Execution
    from spectra.results.study_result import StudyResult


@command(
    short_help="Train, analyze and draw a whole study.",
    examples="""
    # the study that study.toml describes
    spectra pipeline study.toml
    # on a graphics card, into a folder of its own
    spectra pipeline study.toml --device cuda -o runs/study
    # every training and analysis as a job of a cluster, on a GPU each
    spectra pipeline study.toml --launcher slurm --device cuda --partition gpu
    """,
)
@click.argument("study", type=click.Path(path_type=Path))
@Flag(
    "--data",
    "source",
    heading=DATA,
    help="In place of the study's; FILE.py:FUNCTION of your own is named here alone.",
)
@Flag(
    "--arch",
    heading=RECIPE,
    help="In place of the study's; net.py:Net, a class of your own, is named here alone.",
)
@shared.device
@shared.execution
@Flag(
    "--jobs",
    heading=COMPUTING,
    type=click.IntRange(min=1),
    help="Trainings and analyses at once, each in a process of its own; changes no byte of the "
    "results. [as many as threads where images are smaller than 16 x 16, else 1; 256 with Slurm]",
)
@launching.launcher
@shared.output
@shared.figure_width
@Flag("--tables", heading=OUTPUT, is_flag=True, help="Print the table of every recipe's classes.")
@shared.as_json
def pipeline(
    study: Path,
    source: str | None,
    arch: str | None,
    execution: "Execution",
    output: Path | None,
    width: str,
    device: str,
    jobs: int | None,
    launcher: "Launcher | None",
    tables: bool,
    as_json: bool,
) -> None:
    """Run the STUDY described by a TOML file: train, analyze, draw.

    Work is kept unit by unit; a study that was interrupted goes on where it stopped. With
    --launcher, jobs of the first call that still run are waited for, not handed out again.
    """
    from checkpoints import load_study, run_study
    from checkpoints.analysis.trajectory import switch_epochs
    from cli.display.studies import closing_lines
    from figures import draw_study, write_report

    described = load_study(study, arch=arch, source=source)
    folder = hold(output or Path("runs") / file_name(described.name), "results.json")

    def show(_: "StudyResult") -> None:
        path = write_report(folder, title=described.name)
        if not said:
            said.append(f"note: {path} has what there is so far, and grows")
            note(said[0])

    said: list[str] = []
    with reporting(described.name, several=True) as report:
        result = run_study(
            described,
            folder,
            device=pick_device(device) if launcher is None else device,
            execution=execution,
            jobs=jobs,
            launcher=None if launcher is None else replace(launcher, at_once=jobs),
            on_progress=report.update,
            on_result=show,
        )
    groups = described.groups_in(result)
    page = write_report(folder, title=described.name)
    written = [
        folder / "results.json",
        page,
        *draw_study(
            result,
            folder,
            groups=groups,
            density_classes=described.density_classes,
            switch_epochs=switch_epochs(result.trajectories),
            width=width,
        ),
    ]
    if as_json:
        print_json(
            {
                "runs": [
                    {
                        "recipe": a.checkpoint.recipe,
                        "seed": a.checkpoint.seed,
                        "epoch": a.checkpoint.epoch,
                        "classes": a.rows(),
                    }
                    for a in result.analyses
                ],
                "files": there(written),
            }
        )
        return
    if tables:
        _print_tables(result, groups)
    there(written)
    say(
        *closing_lines(result, groups),
        f"{page} shows every class; results and figures are beside it.",
    )


def _print_tables(result: "StudyResult", groups: Mapping[str, Sequence[int]]) -> None:
    """Print every recipe's classes and the recipes, on the images of each split."""
    from cli.display.found.study_tables import study_tables

    for table in study_tables(result, groups):
        print_table(table)
