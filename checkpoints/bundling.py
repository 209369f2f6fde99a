"""Make the bundled checkpoints: ``python -m checkpoints.bundling``."""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from checkpoints.data import DataRequest, load_data
from checkpoints.formats.native import load_native
from checkpoints.load import MANIFEST
from checkpoints.models import Architecture
from checkpoints.recipes import RECIPE_NAMES, get_recipe
from checkpoints.training import TrainingJob, checkpoint_path, default_epochs, train
from spectra.files import write_json

SEED = 0
ARCHITECTURE = "digits-resnet"


def bundle_digits(root: Path) -> None:
    """Train the eight recipes on digits and write checkpoints and manifest below ``root``.

    The files are those that the command in the manifest writes, byte for byte (same CPU, torch
    and number of threads).
    """
    data = load_data(DataRequest("digits"))
    commands: dict[str, str] = {}
    digests: dict[str, str] = {}
    for name in RECIPE_NAMES:
        recipe = get_recipe(name, "digits")
        keep = default_epochs(recipe.epochs)
        target = root / "digits" / name
        with tempfile.TemporaryDirectory() as scratch:
            job = TrainingJob(
                recipe=recipe,
                data=data,
                architecture=Architecture(ARCHITECTURE, data.num_classes, 1, 8, recipe.head),
                seed=SEED,
                folder=Path(scratch),
                name=f"digits/{name}",
            )
            train(job)
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            for epoch in keep:
                made = checkpoint_path(Path(scratch), epoch)
                shutil.copy(made, target / made.name)
        for file in sorted(target.iterdir()):
            digests[file.relative_to(root).as_posix()] = hashlib.sha256(
                file.read_bytes()
            ).hexdigest()
        commands[f"digits/{name}"] = f"spectra train {name} --data digits --seed {SEED}"
        accuracy = load_native(checkpoint_path_in(target, recipe.epochs)).metrics["test"]["overall"]
        sys.stderr.write(f"digits/{name}: test accuracy {accuracy:.3f}\n")
    write_json(root / MANIFEST, {"commands": commands, "sha256": digests})


def checkpoint_path_in(folder: Path, epoch: int) -> Path:
    """Return where the checkpoint of ``epoch`` lies in a bundled folder."""
    return folder / checkpoint_path(folder, epoch).name


if __name__ == "__main__":
    bundle_digits(Path(__file__).parent / "bundled")
