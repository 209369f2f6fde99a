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


# What is written as one file of arrays, rather than logged epoch by epoch.
_FILES = ("npz", "netcdf")


@command(
    short_help="Write stored results to TensorBoard, W&B, or one array.",
    examples="""
    # for tensorboard --logdir runs/board
    spectra export runs/demo --to tensorboard:runs/board
    # every epoch and class of a trajectory as arrays, for NumPy or xarray
    spectra export runs/trajectory-mine --to npz:mine.npz
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
    metavar="tensorboard:DIR|wandb:PROJECT|npz:FILE|netcdf:FILE",
    help="Event files in DIR/NAME for each network, or a run of each in a project; or an array "
    "for each quantity, over what sets the results apart and the class (netcdf needs xarray).",
)
def export(runs: tuple[Path, ...], places: tuple[str, ...]) -> None:
    """Write curves of every class by epoch, densities as histograms, or arrays of all quantities.

    RUN is a result, or a folder that 'pipeline', 'trajectory' or 'analyze' wrote to.
    'spectra train' and 'spectra trajectory' write while they run: --log-to.
    """
    from figures.report.found_results import find_results
    from spectra.results.writers.open_writers import check_places, writing_to

    files = [place for place in places if place.partition(":")[0] in _FILES]
    boards = [place for place in places if place not in files]
    check_places(boards)
    networks: dict[str, list[Analysis]] = {}
    every = [found.analysis for found in find_results(runs).analyses]
    for analysis in every:
        networks.setdefault(_network(analysis), []).append(analysis)
    if not networks:
        raise InputError(
            f"{', '.join(map(str, runs))} hold no result of 'spectra analyze', 'trajectory' or "
            "'pipeline'; give one of these first"
        )
    for name, analyses in networks.items():
        known = analyses[0].checkpoint
        config = {"recipe": known.recipe, "seed": known.seed, **analyses[0].described()}
        with writing_to(boards, name, config) as writer:
            for analysis in sorted(analyses, key=lambda a: a.checkpoint.epoch or 0):
                writer.write(analysis)
    for place in files:
        _write_arrays(place, every)
    said = counted(len(networks), "network")
    say(f"{said} written to {', '.join(places)}: {', '.join(networks)}")


def _write_arrays(place: str, analyses: "list[Analysis]") -> None:
    """Write the arrays of some results into a file of a kind that :data:`_FILES` names.

    Raises:
        InputError: no file is named, xarray is not installed, or two results have one place.
    """
    from spectra import save_arrays, to_arrays
    from spectra.system.files.writing import write_atomically

    kind, _, where = place.partition(":")
    if not where.strip():
        raise InputError(f"arrays are written to {kind}:FILE, got {place!r}")
    arrays = to_arrays(analyses)
    if kind == "npz":
        save_arrays(where, arrays)
    else:
        write_atomically(Path(where), bytes(arrays.to_xarray().to_netcdf()))


def _network(analysis: "Analysis") -> str:
    """Return what a network's curves are called: its name, seed and split."""
    known = analysis.checkpoint
    parts = (
        known.name.replace("/", "-"),
        known.seed is not None and f"seed{known.seed}",
        analysis.protocol.split,
    )
    return "-".join(str(part) for part in parts if part)
