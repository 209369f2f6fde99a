"""How much curvature each image can add, by how its loss depends on the outputs."""

import torch
from torch import Tensor

from spectra.objective.frozen_loss import FrozenLoss
from spectra.objective.short_memory import with_smaller_chunks
from spectra.system.precision import float32_precision


@with_smaller_chunks
def own_scores(loss: FrozenLoss) -> Tensor:
    """Return w_i ‖∂ℓ_i/∂outputs‖ of the images that this rank works on, shape (k,)."""

    @torch.enable_grad()
    def of_chunk(chunk: slice) -> Tensor:
        with torch.no_grad():
            outputs = loss.model(loss.images[chunk])
        outputs.requires_grad_()
        losses = loss.sample_losses(outputs, loss.labels[chunk])
        (slope,) = torch.autograd.grad(losses.sum(), outputs)
        return loss.weights[chunk].abs() * slope.reshape(len(losses), -1).norm(dim=1)

    with float32_precision(loss.device, tf32=False):
        return torch.cat([loss.weights[:0], *loss._map(of_chunk)])
