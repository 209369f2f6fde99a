"""One training of the suite as a process: ``python -m cli.bench.gpu_steps.training_order FOLDER``.

The folder holds ``order.json``; checkpoints, the state for resuming and a line an epoch go there.
"""

import json
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from checkpoints.training.execution import Execution
from checkpoints.training.request import TrainRequest, run_training, training_job
from cli.bench.gpu_references.prepared_folder import read_data

HISTORY = "epochs.jsonl"


@dataclass(frozen=True)
class TrainingOrder:
    """What the process is told.

    Attributes:
        prepared: folder of the images.
        recipe: by name.
        architecture: by name.
        overrides: fields of the recipe to change.
        keep_epochs: whose weights are kept; None: those of the paper's trajectories.
        execution: fields of :class:`checkpoints.training.execution.Execution`.
        device: where.
        parent: the process that waits for this one; where it is gone, this one ends after its
            epoch, since nobody would stop it. None: go on.
    """

    prepared: str
    recipe: str
    architecture: str
    overrides: dict[str, Any]
    keep_epochs: tuple[int, ...] | None
    execution: dict[str, Any]
    device: str
    parent: int | None = None


def run_order(folder: Path) -> None:
    """Train as ``folder/order.json`` says, from where an earlier process stood."""
    order = TrainingOrder(**json.loads((folder / "order.json").read_text(encoding="utf-8")))
    data = read_data(Path(order.prepared))
    keep = None if order.keep_epochs is None else tuple(order.keep_epochs)
    request = TrainRequest(
        recipe=order.recipe,
        arch=order.architecture,
        overrides=order.overrides,
        keep_epochs=keep,
        execution=Execution(**order.execution),
    )
    # Without test images: an evaluation an epoch would be a tenth of the time. What is kept is
    # evaluated when it is analyzed.
    job = training_job(request, folder, data=replace(data, test=None))
    planned, begun = job.recipe.epochs, time.perf_counter()

    def on_epoch(epoch: int, metrics: dict[str, Any]) -> None:
        nonlocal begun
        now = time.perf_counter()
        line = {
            "epoch": epoch,
            "planned": planned,
            "seconds": now - begun,
            "train_loss": metrics["train_loss"],
            "train_accuracy": metrics["train_accuracy"],
        }
        begun = now
        with (folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if order.parent is not None and os.getppid() != order.parent:
            sys.exit("the process that started this training is gone")

    run_training(job, device=order.device, resume=True, on_epoch=on_epoch)


if __name__ == "__main__":
    run_order(Path(sys.argv[1]))
