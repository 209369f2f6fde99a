"""Step 4: each way of computing training steps: as right, and how fast?"""

from typing import Any

import torch

from cli.bench.gpu_ledger.step import Step
from cli.bench.gpu_ledger.suite import Suite
from cli.bench.gpu_references.loss_trace import loss_trace, relative_difference, trace_data
from cli.bench.gpu_steps.correctness import ALLOWED
from cli.bench.gpu_steps.tunings import served
from cli.bench.gpu_steps.ways import EAGER_TRAINING, TrainingWay, training_ways


def run(suite: Suite, step: Step) -> None:
    """Train the first epochs of each recipe in each way; compare losses with float64 and time."""
    few, more = (
        trace_data(suite.prepared.data, n)
        for n in (suite.sizes.trace_per_class, suite.sizes.timed_per_class)
    )
    for recipe, wanted in suite.prepared.traces.items():
        for way in training_ways(on_gpu=suite.on_gpu):

            def trace(
                recipe: str = recipe, wanted: tuple[float, ...] = wanted, way: TrainingWay = way
            ) -> dict[str, Any]:
                options: dict[str, Any] = {
                    "dtype": torch.float32, "device": suite.device, "execution": way.execution
                }  # fmt: skip
                found = loss_trace(recipe, few, suite.sizes, **options)
                timed = loss_trace(
                    recipe, more, suite.sizes, epochs=suite.sizes.timed_epochs, **options
                )
                error = relative_difference(found.losses, wanted)
                return {
                    "losses": found.losses,
                    "error": error,
                    "right": error <= ALLOWED,
                    "epoch_seconds": timed.seconds,
                    "images_per_second": len(more.train) / min(timed.seconds),
                }

            step.item(f"{way.name}: {recipe}", trace)


def fastest(suite: Suite, recipe: str) -> TrainingWay:
    """Return the fastest way of training that was right in this run; the default one if none."""
    step = suite.ledger.find("executions")
    best, rate = EAGER_TRAINING, 0.0
    for way in training_ways(on_gpu=suite.on_gpu):
        item = step.done(f"{way.name}: {recipe}") if step else None
        if item is not None and served(item) and item.found["images_per_second"] > rate:
            best, rate = way, item.found["images_per_second"]
    return best
