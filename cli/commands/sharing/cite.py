"""``spectra cite``: BibTeX of what a run or a result rests on."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.display.lines import print_paths, say
from cli.options.flags import OUTPUT, Flag, command
from cli.options.values import writable
from spectra.errors import InputError

if TYPE_CHECKING:
    from spectra.results.citations.cited import Citation


@command(
    short_help="BibTeX of the methods and data that results used.",
    examples="""
    # of all that a study used, as a file
    spectra cite runs/demo -o methods.bib
    # of how a network was trained
    spectra cite bundled:digits/ce-drw-sam
    """,
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@Flag(
    "-o",
    "--output",
    heading=OUTPUT,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .bib file. [standard output]",
)
def cite(runs: tuple[str, ...], output: Path | None) -> None:
    """Print BibTeX of the methods and data that each RUN in fact used, and what used them.

    RUN is a result, a folder that a command wrote results to, or a checkpoint, which is cited for
    its training alone. What is cited follows from what the files record: the optimizer, the loss,
    the data, how the spectrum was found.
    """
    from spectra.results.citations.cited import to_bibtex, together
    from spectra.system.files.writing import write_atomically

    if output is not None:
        writable(output.parent, output.name)
    found = together([_cited(run) for run in runs])
    text = to_bibtex(found)
    if output is None:
        say(*text.removesuffix("\n").split("\n"))
        return
    write_atomically(output, text.encode())
    say(f"{len(found)} entries")
    print_paths([output])


def _cited(run: str) -> "list[Citation]":
    """Return what the results of a run cite; those of its training, where it has none."""
    from figures.report.found_results import find_results
    from spectra.results.citations.cited import citations

    if not _is_weights(run):
        try:
            return citations(found.analysis for found in find_results([run]).analyses)
        except InputError:
            if not _holds_checkpoints(run):
                raise
    return _of_training(run)


def _is_weights(run: str) -> bool:
    return run.startswith("bundled:") or (Path(run).is_file() and Path(run).suffix != ".json")


def _holds_checkpoints(run: str) -> bool:
    from checkpoints.load import find_checkpoint

    try:
        find_checkpoint(run)
    except InputError:
        return False
    return True


def _of_training(run: str) -> "list[Citation]":
    from checkpoints import load_checkpoint
    from spectra.results.citations.cited import citations_of_training

    checkpoint = load_checkpoint(run)
    return citations_of_training(checkpoint.trained(), checkpoint.versions.get("hessian-spectra"))
