"""``spectra checkpoints``: list, inspect, import."""

from dataclasses import replace
from pathlib import Path

import click
import torch

from checkpoints import Checkpoint, LoadOptions, list_checkpoints, load_checkpoint, save_native
from checkpoints.analysis.data_of import data_for
from checkpoints.data.normalisations import parse_normalisation
from checkpoints.load import BUNDLED, bundled_runs
from cli import options
from cli.display import note, number, plain_text, print_json, print_table
from spectra.errors import InputError


@click.group()
def checkpoints() -> None:
    """List, inspect and import checkpoints."""


@checkpoints.command("list")
@click.argument("run", required=False)
@options.as_json
def list_command(run: str | None, as_json: bool) -> None:
    """List the checkpoints of RUN, or the bundled runs."""
    if run is None:
        bundled = bundled_runs()
        if as_json:
            print_json({BUNDLED + name: epochs for name, epochs in bundled.items()})
            return
        rows = [[BUNDLED + name, " ".join(map(str, epochs))] for name, epochs in bundled.items()]
        print_table("Bundled runs (RUN@EPOCH picks one; the last is the default)",
                    ["run", "epochs"], rows)  # fmt: skip
        return
    found = [(path, load_checkpoint(path)) for _, path in list_checkpoints(run)]
    if as_json:
        print_json([_summary(checkpoint, path) for path, checkpoint in found])
        return
    rows = []
    for path, checkpoint in found:
        tested = checkpoint.metrics.get("test") or {}
        row = [path.name, str(checkpoint.epoch), number(tested.get("overall"))]
        rows.append([*row, number(checkpoint.metrics.get("train_loss"))])
    print_table(str(run), ["file", "epoch", "test accuracy", "train loss"], rows)


@checkpoints.command("inspect")
@click.argument("reference")
@options.foreign
@options.as_json
def inspect(
    reference: str,
    arch: str | None,
    num_classes: int | None,
    head: str | None,
    as_json: bool,
) -> None:
    """Say what is known of a checkpoint, and check that its weights fit and are finite."""
    loading = LoadOptions(arch, num_classes, head)
    checkpoint = load_checkpoint(reference, loading)
    checkpoint.model()
    summary = _summary(checkpoint, None)
    if as_json:
        print_json(summary)
        return
    rows = [
        [key, plain_text(value)] for key, value in summary.items() if value not in (None, {}, [])
    ]
    print_table(str(reference), ["what", "value"], rows)


@checkpoints.command("import")
@click.argument("reference")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@options.foreign
@options.normalisation
@options.data_source
def import_command(
    reference: str,
    output: Path,
    arch: str | None,
    num_classes: int | None,
    head: str | None,
    normalisation: str | None,
    source: str | None,
) -> None:
    """Write another's checkpoint as safetensors with metadata; --data records what it saw."""
    if output.suffix != ".safetensors":
        raise InputError(f"-o must name a .safetensors file, got {output}")
    if output.exists():
        raise InputError(f"{output} exists; choose another name")
    options.writable(output.parent)
    loading = LoadOptions(arch, num_classes, head)
    checkpoint = load_checkpoint(reference, loading)
    checkpoint.model()
    if source is not None:
        data, _ = data_for(checkpoint, source)
        checkpoint = replace(
            checkpoint,
            data={**data.description, "digest": data.digest()},
            class_counts=data.class_counts,
            normalisation=checkpoint.normalisation or data.normalisation,
        )
    if normalisation is not None:
        chosen = parse_normalisation(normalisation, channels=checkpoint.architecture.in_channels)
        checkpoint = replace(checkpoint, normalisation=chosen)
    save_native(output, checkpoint)
    for text in checkpoint.notes:
        note(f"note: {text}")
    click.echo(f"{output}: {checkpoint.architecture.name}, {checkpoint.architecture.head} head")


def _summary(checkpoint: Checkpoint, path: Path | None) -> dict[str, object]:
    parameters = sum(
        value.numel()
        for key, value in checkpoint.state.items()
        if torch.is_floating_point(value) and "running_" not in key
    )
    return {
        **({"file": str(path)} if path else {}),
        "name": checkpoint.name,
        "epoch": checkpoint.epoch,
        "architecture": checkpoint.architecture.to_dict(),
        "parameters": parameters,
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
