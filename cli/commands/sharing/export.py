"""``spectra export``: stored results to where trainings are watched."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.display.lines import say
from cli.display.words import counted
from cli.options.flags import OUTPUT, Flag, command
from spectra.errors import InputError

if TYPE_CHECKING:
    from spectra import Analysis


@command(
    short_help="Write stored results to TensorBoard or W&B.",
    examples="""
    # for tensorboard --logdir runs/board
    spectra export runs/demo --to tensorboard:runs/board
    # to a project of Weights & Biases
    spectra export runs/trajectory-mine --to wandb:tails
    """,
)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@Flag(
    "--to",
    "places",
    heading=OUTPUT,
    multiple=True,
    required=True,
    metavar="tensorboard:DIR|wandb:PROJECT",
    help="Event files in DIR/NAME for each network, or a run of each in a project.",
)
def export(runs: tuple[Path, ...], places: tuple[str, ...]) -> None:
    """Write curves of every class by epoch, and densities as histograms, of stored results.

    RUN is a result, or a folder that 'pipeline', 'trajectory' or 'analyze' wrote to.
    'spectra train' and 'spectra trajectory' write while they run: --log-to.
    """
    from figures.report.found_results import find_results
    from spectra.results.writers.open_writers import check_places, writing_to

    check_places(places)
    networks: dict[str, list[Analysis]] = {}
    for found in find_results(runs).analyses:
        networks.setdefault(_network(found.analysis), []).append(found.analysis)
    if not networks:
        raise InputError(
            f"{', '.join(map(str, runs))} hold no result of 'spectra analyze', 'trajectory' or "
            "'pipeline'; give one of these first"
        )
    for name, analyses in networks.items():
        known = analyses[0].checkpoint
        config = {"recipe": known.recipe, "seed": known.seed, **analyses[0].described()}
        with writing_to(places, name, config) as writer:
            for analysis in sorted(analyses, key=lambda a: a.checkpoint.epoch or 0):
                writer.write(analysis)
    said = counted(len(networks), "network")
    say(f"{said} written to {', '.join(places)}: {', '.join(networks)}")


def _network(analysis: "Analysis") -> str:
    """Return what a network's curves are called: its name, seed and split."""
    known = analysis.checkpoint
    parts = (
        known.name.replace("/", "-"),
        known.seed is not None and f"seed{known.seed}",
        analysis.protocol.split,
    )
    return "-".join(str(part) for part in parts if part)
