"""``spectra checkpoints``: list, inspect, import."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.display.lines import note, print_json, say
from cli.display.tables import Table, print_table
from cli.display.words import number, plain_text
from cli.options import shared
from cli.options.completion import checkpoint_names
from cli.options.flags import GroupWithExamples, HeadedCommand
from cli.options.values import writable
from spectra.errors import InputError

if TYPE_CHECKING:
    from checkpoints import Checkpoint, LoadOptions


@click.group(
    cls=GroupWithExamples,
    examples="""
    # the bundled runs
    spectra checkpoints list
    # what a file of somebody else's holds
    spectra checkpoints inspect theirs.pth --arch resnet32
    """,
)
def checkpoints() -> None:
    """List, inspect and import checkpoints."""


@checkpoints.command(
    "list",
    cls=HeadedCommand,
    examples="""
    # the bundled runs
    spectra checkpoints list
    # the epochs that a run has kept
    spectra checkpoints list runs/mine
    """,
)
@click.argument("run", required=False, shell_complete=checkpoint_names)
@shared.loading
@shared.as_json
def list_command(run: str | None, loading: "LoadOptions", as_json: bool) -> None:
    """List the checkpoints of RUN, or the bundled runs."""
    from checkpoints import list_checkpoints, load_checkpoint
    from checkpoints.bundled_files import BUNDLED, bundled_runs, listed_files

    if run is None:
        bundled = bundled_runs()
        if as_json:
            print_json({BUNDLED + name: epochs for name, epochs in bundled.items()})
            return
        rows = [[BUNDLED + name, " ".join(map(str, epochs))] for name, epochs in bundled.items()]
        print_table(Table("Bundled runs (RUN@EPOCH picks one; the last is the default)",
                    ["run", "epochs"], rows))  # fmt: skip
        elsewhere = sum(not file.is_here for file in listed_files())
        if elsewhere:
            note(f"{elsewhere} more lie in the source repository, in checkpoints/bundled")
        return
    found = []
    for epoch, path in list_checkpoints(run):
        checkpoint = load_checkpoint(path, loading)
        told = epoch if checkpoint.epoch is None else checkpoint.epoch
        found.append((path, replace(checkpoint, epoch=told)))
    if as_json:
        print_json([_summary(checkpoint, path) for path, checkpoint in found])
        return
    rows = []
    for path, checkpoint in found:
        recorded = [number(checkpoint.test_accuracy), number(checkpoint.train_loss)]
        rows.append([path.name, str(checkpoint.epoch), *recorded])
    print_table(Table(str(run), ["file", "epoch", "test accuracy", "train loss"], rows))


@checkpoints.command(
    "inspect",
    cls=HeadedCommand,
    examples="""
    # a bundled checkpoint
    spectra checkpoints inspect bundled:digits/ce-drw
    # somebody else's file, as a ResNet-32
    spectra checkpoints inspect theirs.pth --arch resnet32
    """,
)
@click.argument("reference", shell_complete=checkpoint_names)
@shared.loading
@shared.as_json
def inspect(reference: str, loading: "LoadOptions", as_json: bool) -> None:
    """Say what is known of a checkpoint, and check that its weights fit and are finite."""
    from checkpoints import load_checkpoint

    checkpoint = load_checkpoint(reference, loading)
    checkpoint.model()
    summary = _summary(checkpoint, None)
    if as_json:
        print_json(summary)
        return
    rows = [
        [key, plain_text(value)] for key, value in summary.items() if value not in (None, {}, [])
    ]
    print_table(Table(str(reference), ["what", "value"], rows))


@checkpoints.command(
    "import",
    cls=HeadedCommand,
    examples="""
    # somebody else's ResNet-32
    spectra checkpoints import theirs.pth --arch resnet32 -o mine.safetensors
    # a network of your own
    spectra checkpoints import my.pth --arch net.py:Net -o my.safetensors
    """,
)
@click.argument("reference", shell_complete=checkpoint_names)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@shared.loading
@shared.normalisation
@shared.source
def import_command(
    reference: str,
    output: Path,
    loading: "LoadOptions",
    normalisation: str | None,
    source: str | None,
) -> None:
    """Write another's checkpoint as safetensors with metadata; --data records what it saw."""
    from checkpoints import load_checkpoint, save_native
    from checkpoints.analysis.data_of import with_data

    if output.suffix != ".safetensors":
        raise InputError(f"-o must name a .safetensors file, got {output}")
    if output.exists():
        raise InputError(f"{output} exists; choose another name")
    writable(output.parent)
    checkpoint = load_checkpoint(reference, loading)
    checkpoint.model()
    checkpoint = with_data(checkpoint, source, normalisation=normalisation)
    save_native(output, checkpoint)
    for text in checkpoint.notes:
        note(f"note: {text}")
    say(f"{output}: {checkpoint.architecture.name}, {checkpoint.architecture.head} head")


def _summary(checkpoint: "Checkpoint", path: Path | None) -> dict[str, object]:
    return {
        **({"file": str(path)} if path else {}),
        "name": checkpoint.name,
        "epoch": checkpoint.epoch,
        "architecture": _known_of(checkpoint),
        "parameters": checkpoint.num_parameters,
        "recipe": checkpoint.recipe.to_dict() if checkpoint.recipe else None,
        "class_counts": list(checkpoint.class_counts) if checkpoint.class_counts else None,
        "data": dict(checkpoint.data) if checkpoint.data else None,
        "normalisation": checkpoint.normalisation.to_dict() if checkpoint.normalisation else None,
        "seed": checkpoint.seed,
        "metrics": dict(checkpoint.metrics),
        "versions": dict(checkpoint.versions),
        "digest": checkpoint.digest(),
        "notes": list(checkpoint.notes),
    }


def _known_of(checkpoint: "Checkpoint") -> dict[str, object]:
    """Return what is known of an architecture: of a user's own, not what fields of ours say."""
    known: dict[str, object] = {**checkpoint.architecture.to_dict()}
    if ":" not in checkpoint.architecture.name:
        return known
    return {key: known[key] for key in ("name", "num_classes")}
