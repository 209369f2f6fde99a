"""Short seeded trainings whose losses are the same on any device but for rounding."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from checkpoints import Architecture, ImageData, build_model
from checkpoints.models import initialise
from checkpoints.recipes.families import get_recipe
from checkpoints.recipes.recipe import Recipe
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.trainer import Trainer, descent
from cli.bench.gpu_references.sizes import Sizes
from spectra import make_generator

SEED = 0


def trace_data(data: ImageData, per_class: int) -> ImageData:
    """Return up to ``per_class`` first images of each class, without test images."""
    labels = data.train.labels
    first = [(labels == c).nonzero().flatten()[:per_class] for c in range(data.num_classes)]
    chosen = torch.cat(first).sort().values
    return ImageData(
        name=data.name,
        train=data.train.subset(chosen),
        test=None,
        num_classes=data.num_classes,
        normalisation=data.normalisation,
        description=data.description,
    )


@dataclass(frozen=True)
class Trace:
    """A seeded training.

    Attributes:
        losses: mean training loss of each epoch.
        seconds: of each epoch.
    """

    losses: tuple[float, ...]
    seconds: tuple[float, ...]


def loss_trace(
    recipe_name: str,
    data: ImageData,
    sizes: Sizes,
    *,
    dtype: torch.dtype,
    device: str,
    execution: Execution = EXACT,
    epochs: Sequence[int] | None = None,
) -> Trace:
    """Train a few epochs of a recipe and return their losses.

    The weights are the same on every device; so are the order of the images, crops and flips.

    Args:
        recipe_name: one of the recipes.
        data: of :func:`trace_data`.
        sizes: architecture, epochs, overrides.
        dtype: of weights and passes.
        device: where.
        execution: how the passes are computed.
        epochs: which of the recipe's, from 0; None: the first ones.
    """
    recipe: Recipe = get_recipe(recipe_name, "cifar10").with_overrides(sizes.trace_overrides)
    _, channels, side, _ = data.train.images.shape
    with torch.random.fork_rng(devices=[]):  # torch's own initialisation draws numbers
        architecture = Architecture(sizes.trace_architecture, data.num_classes, channels, side)
        model = build_model(architecture)
    initialise(model, make_generator(SEED, "gpu suite trace"))
    if dtype == torch.float64:
        model = _InFloat64(model.double())
    where = torch.device(device)
    model = execution.place(model, where)
    optimizer = descent(recipe, model, where)
    trainer = Trainer(recipe, data, model, optimizer, seed=SEED, device=where, execution=execution)
    losses, seconds = [], []
    for epoch in range(sizes.trace_epochs) if epochs is None else epochs:
        start = time.perf_counter()
        losses.append(trainer.run_epoch(epoch).train_loss)  # which waits for the device
        seconds.append(time.perf_counter() - start)
    return Trace(tuple(losses), tuple(seconds))


def relative_difference(found: Any, wanted: Any) -> float:
    """Return the largest |found - wanted| / |wanted| of two sequences of numbers."""
    pairs = zip(found, wanted, strict=True)
    return max(abs(f - w) / max(abs(w), 1e-30) for f, w in pairs)


class _InFloat64(nn.Module):
    """A float64 network that takes the trainer's float32 images."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels, h, w) to outputs (n, C)."""
        outputs: Tensor = self.model(x.double())
        return outputs
