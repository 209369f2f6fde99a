"""One step of a tiny training, made by hand."""

import dataclasses
from pathlib import Path

import torch
from tiny_trainings import batch_of, tiny_data, tiny_job
from torch import Tensor, nn

from checkpoints import ImageData, Recipe
from checkpoints.formats.native import load_native
from checkpoints.training.job import checkpoint_path
from checkpoints.training.run import train_job


def start_and_end(folder: Path, recipe: Recipe, data: ImageData | None = None):
    """Train for one step; return the initial network, the final one and the metrics."""
    job = tiny_job(folder, recipe, data=data or tiny_data())
    train_job(dataclasses.replace(job, keep_epochs=(0, 1)))
    first, last = (load_native(checkpoint_path(folder, e)) for e in (0, 1))
    return first.model().train(), last.model(), last.metrics


def mean_loss(model: nn.Module, weights: Tensor | None = None) -> Tensor:
    x, y = batch_of(tiny_data())
    outputs = model(x)
    losses = outputs.logsumexp(1) - outputs[torch.arange(len(y)), y]
    w = torch.ones(len(y)) if weights is None else weights.float()[y]
    return (w * losses).sum() / w.sum()


def climb(model: nn.Module, rho: float) -> None:
    """Move ``model`` to w + ρ g/‖g‖ for the gradients of its parameters."""
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(mean_loss(model), parameters)
    norm = torch.cat([g.reshape(-1) for g in gradients]).norm()
    with torch.no_grad():
        for p, g in zip(parameters, gradients, strict=True):
            p.add_(rho / norm * g)


# float32 on 17 images summed in another order: 1e-5 of values of order 1
LOOSE = {"rtol": 1e-4, "atol": 1e-5}
