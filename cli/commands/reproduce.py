"""``spectra reproduce``: the paper's tables and figures, ours beside the published numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from checkpoints.choices import SIZES
from checkpoints.studies.published_studies import study_names, study_titles
from cli.display.lines import print_json, print_paths, say, tell, there
from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from cli.display.words import number
from cli.options import shared
from cli.options.completion import published_names
from cli.options.flags import DATA, RECIPE, Flag, command
from cli.options.values import hold, one_of, pick_device

if TYPE_CHECKING:
    from checkpoints.training.execution import Execution
    from spectra.results.reproduction_result import ComparedRow


@command(
    short_help="The paper's tables and figures, ours beside the published.",
    listed=lambda: ("Studies", list(study_titles().items())),
    examples="""
    # what SAM does to gradients, in minutes, on bundled digits
    spectra reproduce theorem
    # a table of the paper, in an hour or so, on CIFAR-10
    spectra reproduce cifar10-lt-table --size cpu --data cifar10:data
    # what is published for ImageNet-LT, at once
    spectra reproduce imagenet-lt-table --published
    """,
)
@click.argument(
    "name", metavar="NAME", callback=one_of(study_names), shell_complete=published_names
)
@Flag(
    "--size",
    heading=RECIPE,
    type=click.Choice(SIZES),
    default="smoke",
    show_default=True,
    help="smoke: minutes; cpu: an hour or so on two cores, shortened; full: the paper's setting.",
)
@Flag(
    "--data",
    "source",
    heading=DATA,
    help="As in train; else CIFAR in SPECTRA_DATA; smoke runs on digits without it.",
)
@Flag(
    "--published",
    "published_alone",
    heading=RECIPE,
    is_flag=True,
    help="Print the published numbers and run nothing.",
)
@shared.device
@shared.execution
@shared.output
@shared.figure_width
@shared.as_json
def reproduce(
    name: str,
    size: str,
    source: str | None,
    published_alone: bool,
    execution: "Execution",
    output: Path | None,
    width: str,
    device: str,
    as_json: bool,
) -> None:
    """Run the study NAME and print our numbers beside the published ones.

    Leaves result.json and figures in the output folder; an interrupted study goes on.
    """
    from checkpoints.studies.reproduction import (
        load_reproduction,
        published_rows,
        run_reproduction,
    )
    from figures import draw_reproduction
    from spectra.results.plain import to_plain
    from spectra.results.reproduction_result import reproduction_to_plain

    study = load_reproduction(name, size)
    if published_alone:
        rows = published_rows(study.published)
        if as_json:
            print_json({"study": name, "source": study.source, "rows": to_plain(rows)})
        else:
            _print_rows(study.title, rows, study.source)
        return
    folder = hold(output or Path("runs") / f"reproduce-{name}-{size}", "result.json")
    with reporting(name) as report:
        result = run_reproduction(
            study,
            folder,
            source=source,
            device=pick_device(device),
            execution=execution,
            on_progress=report.update,
        )
    with reporting("drawing"):
        written = [folder / "result.json", *draw_reproduction(result, folder, width=width)]
    if as_json:
        print_json({**reproduction_to_plain(result), "files": there(written)})
        return
    _print_rows(f"{study.title}; size {size}, data: {result.data}", result.rows, study.source)
    if result.note:
        tell(f"note: {result.note}")
    say("written:")
    print_paths(written)


def _print_rows(title: str, rows: Sequence["ComparedRow"], source: str) -> None:
    print_table(
        Table(
            title,
            ["row", "images", "quantity", "ours", "seeds", "published", "difference"],
            [line for row in rows for line in _lines(row)],
        )
    )
    tell(f"published: {source}")


# Beside whatever was published; result.json has the rest.
_SHOWN = ("overall", "head", "mid", "tail", "lambda_min", "lambda_max", "ratio", "measured",
          "predicted", "theorem")  # fmt: skip


def _lines(row: "ComparedRow") -> list[list[str]]:
    from spectra.results.reproduction_result import NOT_RUN

    lines = []
    shown = {
        name: value
        for name, value in row.values.items()
        if name in _SHOWN or value.published is not None
    }
    for k, (name, value) in enumerate(shown.items()):
        ours = _with_sd(value.ours, value.ours_sd)
        lines.append(
            [
                row.row if k == 0 else "",
                (row.protocol or "") if k == 0 else "",
                name,
                NOT_RUN if row.state == NOT_RUN else ours,
                str(value.seeds) if value.seeds else "",
                _with_sd(value.published, value.published_sd),
                number(value.difference),
            ]
        )
    return lines or [[row.row, "", "", NOT_RUN, "", "-", "-"]]


def _with_sd(value: float | None, sd: float | None) -> str:
    return number(value) if sd is None else f"{number(value)} ± {sd:.2g}"
