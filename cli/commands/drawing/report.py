"""``spectra report``: one page of stored results, to be opened from disk or sent."""

from pathlib import Path

import click

from cli.display.lines import print_paths, say
from cli.options.flags import OUTPUT, Flag, command
from cli.options.values import writable


@command(
    short_help="One page of stored results, to look at or send.",
    examples="""
    # a whole study
    spectra report runs/demo
    # an analysis and a trajectory, side by side
    spectra report runs/analyze-mine runs/trajectory-mine -o mine.html
    """,
)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@Flag(
    "-o",
    "--output",
    heading=OUTPUT,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page. [report.html in the folder of the first RUN]",
)
@Flag("--title", heading=OUTPUT, help="Of the page. [the names of the runs]")
def report(runs: tuple[Path, ...], output: Path | None, title: str | None) -> None:
    """Write one page of the results in each RUN: a file that opens without a network.

    RUN is a result of 'spectra analyze', or a folder that 'pipeline', 'trajectory', 'analyze',
    'analyze --compare-protocols' or 'images' wrote to. The page has a table of runs and classes
    with their verdicts, all densities on common axes, trajectories, and what each number rests on.
    """
    from figures import write_report
    from figures.report.gather import gather_report
    from figures.report.write import default_path

    place = output or default_path(runs)
    writable(place.parent, place.name)
    contents = gather_report(runs, title=title)
    written = write_report(contents, place)
    say(f"report of {contents.summary}")
    print_paths([written])
