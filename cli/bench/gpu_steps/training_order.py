"""One training of the suite as a process: ``python -m cli.bench.gpu_steps.training_order FOLDER``.

The folder holds ``order.json``; checkpoints, the state for resuming and a line an epoch go there.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from checkpoints.training.execution import Execution
from checkpoints.training.job import state_path
from checkpoints.training.request import TrainRequest, training_job
from checkpoints.training.resume import load_history
from checkpoints.training.run import train_job
from cli.bench.gpu_references.prepared_folder import read_data
from spectra.system.files.writing import write_json

ORDER, HISTORY = "order.json", "epochs.jsonl"


@dataclass(frozen=True)
class TrainingOrder:
    """What the process is told.

    Attributes:
        prepared: folder of the images.
        recipe: by name.
        architecture: by name.
        overrides: fields of the recipe to change.
        keep_epochs: whose weights are kept; None: those of the paper's trajectories.
        execution: how its passes are computed.
        device: where.
        parent: the process that waits for this one; where it is gone, this one ends after its
            epoch, since nobody would stop it. None: go on.
    """

    prepared: str
    recipe: str
    architecture: str
    overrides: Mapping[str, Any]
    keep_epochs: tuple[int, ...] | None
    execution: Execution
    device: str
    parent: int | None = None

    def write(self, folder: Path) -> None:
        """Leave the order in the folder of its training."""
        write_json(folder / ORDER, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "TrainingOrder":
        """Return what :meth:`write` left."""
        order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
        keep = order["keep_epochs"]
        order["keep_epochs"] = None if keep is None else tuple(keep)
        order["execution"] = Execution(**order["execution"])
        return cls(**order)


@dataclass(frozen=True)
class EpochLine:
    """What a training says after each epoch, a line of JSON in :data:`HISTORY`.

    Attributes:
        epoch: counted from 1.
        planned: epochs in all.
        seconds: that it took.
        train_loss: mean over its images.
        train_accuracy: fraction right of them.
    """

    epoch: int
    planned: int
    seconds: float
    train_loss: float
    train_accuracy: float


def read_history(folder: Path) -> list[EpochLine]:
    """Return what a training said so far; a half-written last line is left out."""
    path = folder / HISTORY
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(EpochLine(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def run_order(folder: Path) -> None:
    """Train as the order in ``folder`` says, from where an earlier process stood."""
    order = TrainingOrder.read(folder)
    data = read_data(Path(order.prepared))
    request = TrainRequest(
        recipe=order.recipe,
        arch=order.architecture,
        overrides=order.overrides,
        keep_epochs=order.keep_epochs,
        execution=order.execution,
    )
    # Without test images: an evaluation an epoch would be a tenth of the time. What is kept is
    # evaluated when it is analyzed.
    job = training_job(request, folder, data=replace(data, test=None))
    begun = time.perf_counter()

    def on_progress(_: str, epoch: int, planned: int) -> None:
        nonlocal begun
        now = time.perf_counter()
        metrics = load_history(state_path(folder))[-1]
        line = EpochLine(epoch, planned, now - begun, metrics.train_loss, metrics.train_accuracy)
        begun = now
        with (folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line)) + "\n")
        if order.parent is not None and os.getppid() != order.parent:
            sys.exit("the process that started this training is gone")

    # Which way is the fastest may be another one than when it was begun.
    train_job(job, device=order.device, resume=True, other_execution=True, on_progress=on_progress)


if __name__ == "__main__":
    run_order(Path(sys.argv[1]))
