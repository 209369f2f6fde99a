"""``spectra recurrences``: the published recurrence taken apart, step by step."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.commands.directions.opened import open_for
from cli.display.lines import print_json, print_paths, say
from cli.display.progress import reporting
from cli.options import shared
from cli.options.analysis import AskedAnalysis, recurrence_flags
from cli.options.completion import checkpoint_names
from cli.options.flags import ANALYZED, COMPUTING, SOLVER, Flag, command
from cli.options.values import parse_counts
from spectra.errors import InputError
from spectra.krylov.defaults import PUBLISHED_STEPS

if TYPE_CHECKING:
    from checkpoints import LoadOptions


@command(
    short_help="The published recurrence taken apart, step by step.",
    examples="""
    # class 8, beside the exact extremes
    spectra recurrences bundled:digits/ce-drw --class 8 --exact
    # the published protocol, three draws
    spectra recurrences runs/mine --class 8 --images fresh --seeds 0,1,2
    """,
)
@click.argument("checkpoint", shell_complete=checkpoint_names)
@shared.source
@shared.loading
@recurrence_flags
@Flag(
    "--arithmetic",
    heading=SOLVER,
    default="published,float64",
    show_default=True,
    help="published: float32, 1e-6 in every norm, one orthogonalisation; float32-once: without "
    "the 1e-6; float32-twice: with two orthogonalisations; float64-once; float64-once+1e-6; "
    "float64: two orthogonalisations. Joined by commas.",
)
@Flag(
    "--seeds",
    heading=COMPUTING,
    default="0",
    show_default=True,
    help="Of draws and start, joined by commas.",
)
@Flag(
    "--exact",
    heading=ANALYZED,
    is_flag=True,
    help="Find λmin and λmax of the matrix too, by SciPy in float64; of images that stay.",
)
@shared.output
@shared.as_json
def recurrences(
    checkpoint: str,
    source: str | None,
    loading: "LoadOptions",
    asked: AskedAnalysis,
    arithmetic: str,
    seeds: str,
    exact: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Run the published recurrence on classes at CHECKPOINT, and say what its ratio is made of.

    Every way to compute it gets the same draws and the same start. β is kept before and after
    orthogonalising, and with it what came back along the vector before. --images fresh is the
    published protocol; --engine pyhessian with --arithmetic published is PyHessian itself.
    """
    from checkpoints.analysis.protocols.recurrences import measure_recurrences
    from cli.display.found.recurrences import print_recurrences
    from spectra.results.protocols.recurrences_result import (
        recurrences_to_plain,
        save_recurrences,
    )

    request = asked.request(num_probes=1, num_steps=PUBLISHED_STEPS)
    loaded, data, folder = open_for(
        "recurrences", checkpoint, loading, source, request.normalisation, output
    )
    if asked["classes"] is None:
        raise InputError("recurrences is of one class or a few: name them, such as --class 8")
    with reporting(f"measuring {loaded.name}") as report:
        result = measure_recurrences(
            loaded,
            data,
            request,
            arithmetics=[name.strip() for name in arithmetic.split(",") if name.strip()],
            seeds=parse_counts(seeds, flag="--seeds"),
            exact=exact,
            on_progress=report.update,
        )
    written = folder / "recurrences.json"
    save_recurrences(written, result)
    if as_json:
        print_json({**recurrences_to_plain(result), "files": [str(written)]})
        return
    print_recurrences(result)
    say("written:")
    print_paths([written])
