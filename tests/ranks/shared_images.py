"""What ranks find that share the images of a loss out: ``shared_images.py FILE``, run by torchrun.

Rank 0 writes the file. Of three ranks, whole analyses are left out, for the time that they take.
"""

import sys

import torch
from torch import nn

from spectra import HessianOperator, SolverSettings, analyze_loss, make_generator, slq
from spectra.engines.analyze_fresh import analyze_fresh
from spectra.krylov.extremes import extreme_eigenpairs
from spectra.krylov.lanczos import Lanczos
from spectra.system.ranks import World, joined


def group_norm_net() -> nn.Module:
    """Return a small convolutional network without batch norm, in float64."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3, padding=1), nn.GroupNorm(2, 6), nn.Tanh(), nn.AvgPool2d(2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6 * 16, 4)).double()


def hessian(count: int, seed: int = 1) -> HessianOperator:
    """Return the Hessian of that network over ``count`` images of 8 x 8 pixels."""
    generator = make_generator(seed, "images")
    images = torch.randn((count, 3, 8, 8), generator=generator, dtype=torch.float64)
    labels = torch.arange(count) % 4
    return HessianOperator(
        group_norm_net(), images, labels, dtype=torch.float64, micro_chunk=8, weight_decay=1e-3
    )


def found(op: HessianOperator) -> dict[str, torch.Tensor]:
    """Return what is asked of an operator, by name."""
    generator = make_generator(2, "vectors")
    vectors = torch.randn((3, op.size), generator=generator, dtype=torch.float64)
    part = op.over_images(torch.arange(0, op.num_images, 3))
    return {
        "product": op.matvec(vectors[0]),
        "products": op.matmat(vectors),
        "sizes": op.scaled_products(vectors)[1],
        "curvature": op.second_derivatives(vectors)[0],
        "gauss-newton": op.gauss_newton().matvec(vectors[0]),
        "of some images": part.matvec(vectors[0]),
        "gradient": op.gradient(),
        "numbers": torch.tensor([op.loss(), op.accuracy()]).double(),
        "scores": op.scores().double(),
        "of each image": op.curvatures(vectors[:2]),
    }


def analyses(op: HessianOperator) -> dict[str, torch.Tensor]:
    """Return λmin and λmax of whole analyses: with a density, by active images, of a search."""
    asked = (
        SolverSettings(num_probes=1, num_steps=20),
        SolverSettings(num_probes=0, tol=1e-6, bending=False),
        SolverSettings(num_probes=0, stationary=True, search_products=40, bending=False),
    )
    made = [analyze_loss(op, label="0", classes=(0,), settings=each) for each in asked]
    ends = [(each.lambda_min, each.lambda_max, each.n) for each in made]
    return {"ends": torch.tensor(ends).double()}


def densities(op: HessianOperator) -> dict[str, torch.Tensor]:
    """Return the nodes of a density, over images that stay and over images drawn anew."""
    start = torch.ones(op.size, dtype=torch.float64)
    run = Lanczos(op, start, basis="sharded").run(12).tridiagonal()
    restarted = extreme_eigenpairs(
        op, 1, generator=make_generator(5), basis="sharded", max_basis=14, tol=1e-8
    )
    ends = [restarted.smallest.value, restarted.largest.value]
    density = slq(op, num_probes=2, num_steps=12, generator=make_generator(3))
    draws = make_generator(4, "draws")

    def draw() -> torch.Tensor:
        return torch.randn(op.images.shape, generator=draws, dtype=torch.float64)

    settings = SolverSettings(num_probes=1, num_steps=8)
    fresh = analyze_fresh(op, draw, settings=settings, label="0", classes=(0,))
    return {
        "nodes": torch.from_numpy(density.nodes),
        "sharded": torch.from_numpy(run.ritz_values()),
        "sharded, restarted": torch.tensor(ends).double(),
        "fresh": torch.tensor([fresh.lambda_min, fresh.lambda_max, fresh.loss]).double(),
    }


def everything(world: World) -> dict[str, torch.Tensor]:
    """Return all that the ranks of ``world`` find, over 50 images and over 2."""
    few, many = (hessian(count).over_ranks(world) for count in (2, 50))
    kept = {f"2 {name}": value for name, value in found(few).items()}
    kept |= {f"50 {name}": value for name, value in found(many).items()}
    kept |= densities(many)
    return kept if world.size == 3 else kept | analyses(many)


if __name__ == "__main__":
    with joined() as world:
        kept = everything(world)
        same = world.gather({name: value.numpy().tobytes() for name, value in kept.items()})
    if world.first:
        kept["same on all ranks"] = torch.tensor(all(each == same[0] for each in same))
        torch.save(kept, sys.argv[1])
