"""Make the bundled checkpoints: ``python -m checkpoints.bundling``."""

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from checkpoints.bundled_files import MANIFEST
from checkpoints.data import DataRequest, load_data
from checkpoints.formats.native import load_native
from checkpoints.models import Architecture
from checkpoints.recipes.families import PAPER_RECIPES, get_recipe
from checkpoints.training.job import TrainingJob, checkpoint_path
from checkpoints.training.run import train_job
from spectra.system.files.writing import write_json

SEED = 0
ARCHITECTURE = "digits-resnet"
# The recipe of the walkthrough keeps every epoch that its run writes.
WHOLE = "ce-drw"
# Of the others: some of those where the paper's plot over the epochs is read off, the last before
# DRW switches among them. The rest is half of the set, and nothing names it.
EPOCHS = (50, 100, 160, 200)


def bundle_digits(root: Path) -> None:
    """Train the eight recipes on digits and write checkpoints and manifest below ``root``.

    Every other bundled run stays as it is. The files are those that the command in the manifest
    writes, byte for byte (same CPU, torch and number of threads; and the same version of this
    package: the digits bundled now were trained before cross-entropy came to be rounded as it is,
    so that the same command trains networks that differ from them by as much as seeds do).
    """
    data = load_data(DataRequest("digits"))
    commands: dict[str, str] = {}
    files: list[Path] = []
    for name in PAPER_RECIPES:
        recipe = get_recipe(name, "digits")
        with tempfile.TemporaryDirectory() as scratch:
            job = TrainingJob(
                recipe=recipe,
                data=data,
                architecture=Architecture(ARCHITECTURE, data.num_classes, 1, 8, recipe.head),
                seed=SEED,
                folder=Path(scratch),
                keep_epochs=None if name == WHOLE else EPOCHS,
                name=f"digits/{name}",
            )
            files += _copy(train_job(job), root / "digits" / name)
        commands[f"digits/{name}"] = f"spectra train {name} --data digits --seed {SEED}"
        accuracy = load_native(files[-1]).test_accuracy
        sys.stderr.write(f"digits/{name}: test accuracy {accuracy:.3f}\n")
    _record(root, "digits/", commands, files)


def bundle_run(root: Path, name: str, folder: Path, epochs: Sequence[int], command: str) -> None:
    """Copy the checkpoints of a run that is too long to be made again here.

    Args:
        root: of the bundled set.
        name: ``cifar10-lt/ce-drw``.
        folder: of the run.
        epochs: which of its checkpoints.
        command: that made it, for the manifest.
    """
    files = _copy([checkpoint_path(folder, epoch) for epoch in epochs], root / name)
    _record(root, f"{name}/", {name: command}, files)


def _copy(made: Sequence[Path], target: Path) -> list[Path]:
    """Put files into an empty folder ``target`` and return where they are now."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    return [Path(shutil.copy(path, target / path.name)) for path in made]


def _record(root: Path, prefix: str, commands: dict[str, str], files: Sequence[Path]) -> None:
    """Put commands and digests into the manifest in place of those under ``prefix``."""
    path = root / MANIFEST
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    digests = {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }
    fresh = {"commands": commands, "sha256": digests}
    table = {
        key: {k: v for k, v in kept.get(key, {}).items() if not f"{k}/".startswith(prefix)} | new
        for key, new in fresh.items()
    }
    write_json(path, table)


if __name__ == "__main__":
    bundle_digits(Path(__file__).parent / "bundled")
