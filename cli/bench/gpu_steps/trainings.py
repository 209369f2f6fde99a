"""Step 8: the paper's trainings, a process each, one after the other."""

import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from checkpoints import list_checkpoints
from cli.bench.gpu_ledger.pack import pack
from cli.bench.gpu_ledger.step import CutShort, Step
from cli.bench.gpu_ledger.suite import Suite
from cli.bench.gpu_steps.executions import fastest
from cli.bench.gpu_steps.training_order import TrainingOrder, read_history
from spectra.errors import InputError, SpectraError

PAUSE = 0.2
# Ours: seconds that a process told to end may take to do so.
GRACE = 10.0


def run(suite: Suite, step: Step) -> None:
    """Run the trainings in turn; stop the one that runs at the step's end.

    Side by side on an H100 two took as long as in turn, and neither was done early. Every epoch's
    state is on disk, so what the limit cuts goes on where it stood, here or elsewhere.
    """
    for recipe in suite.request.trained:
        if step.done(recipe) is not None:
            continue
        if step.left <= 0:
            step.item(recipe, dict)  # which says that there was no time
            continue
        started = time.monotonic()
        process = _start(suite, recipe)
        try:
            while process.poll() is None and step.left > 0:
                time.sleep(PAUSE)
        finally:
            _end(process)
        step.item(
            recipe,
            partial(_outcome, suite, recipe, time.monotonic() - started, process.returncode),
            estimate=float("-inf"),  # it is done; only the account is left
        )
    pack(suite.request.folder)


def run_folder(suite: Suite, recipe: str) -> Path:
    """Return where a training's checkpoints and state go."""
    return suite.request.folder / "runs" / recipe


def _start(suite: Suite, recipe: str) -> "subprocess.Popen[bytes]":
    folder = run_folder(suite, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    way = fastest(suite, recipe)
    order = TrainingOrder(
        prepared=str(suite.request.references),
        recipe=recipe,
        architecture=suite.sizes.train_architecture,
        overrides=suite.sizes.train_overrides,
        keep_epochs=suite.sizes.keep_epochs,
        execution=way.execution,
        device=suite.device,
        parent=os.getpid(),
    )
    order.write(folder)
    environment = dict(os.environ)
    root = str(Path(__file__).parents[3])
    paths = [root, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(p for p in paths if p)
    if not suite.on_gpu:
        environment["OMP_NUM_THREADS"] = "1"
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "cli.bench.gpu_steps.training_order", str(folder)],
            stdout=log,
            stderr=log,
            env=environment,
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a training that still runs; between two epochs' states nothing is lost but the epoch."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _outcome(suite: Suite, recipe: str, took: float, code: int) -> dict[str, Any] | CutShort:
    folder = run_folder(suite, recipe)
    history = read_history(folder)
    epochs = max((line.epoch for line in history), default=0)
    if not epochs:
        raise SpectraError(f"no epoch was finished in {took:.0f} s: {_last_line(folder)}")
    times = [line.seconds for line in history]
    planned = history[-1].planned
    if code > 0:
        raise SpectraError(f"it ended after epoch {epochs} of {planned}: {_last_line(folder)}")
    found = {
        "epochs": epochs,
        "planned": planned,
        "training_seconds": took,
        "epoch_seconds": statistics.median(times),
        "way": fastest(suite, recipe).name,
        "train_loss": history[-1].train_loss,
        "kept": [epoch for epoch, _ in _kept(folder)],
    }
    return found if code == 0 else CutShort(found)


def _last_line(folder: Path) -> str:
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"


def _kept(folder: Path) -> list[tuple[int | None, Path]]:
    try:
        return list_checkpoints(folder)
    except InputError:
        return []
