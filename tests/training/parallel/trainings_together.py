"""Small trainings that a job's ranks make together: ``trainings_together.py FOLDER``."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch
from tiny_trainings import COUNTS, Killed, tiny_data, tiny_job, tiny_recipe
from torch import Tensor, nn

from checkpoints import DataRequest, Recipe, TrainingJob, train
from checkpoints.recipes.recipe import OPTIMIZERS
from checkpoints.training.evaluation import EpochMetrics
from checkpoints.training.execution import EXACT, Execution
from checkpoints.training.parallel.agreement import check_same_network
from checkpoints.training.run import train_job
from checkpoints.training.trainer import Trainer, descent
from spectra.errors import InputError
from spectra.system.ranks import World, joined

DOUBLE = torch.float64
SYNCHRONISED = Execution(batch_norm="synchronised")


class Net(nn.Module):
    """A convolution, a norm and a classifier, in float64."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.unused = nn.Linear(2, 2)
        self.conv, self.norm = nn.Conv2d(1, 6, 3, padding=1), norm
        self.linear = nn.Linear(6, len(COUNTS))
        self.double()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=DOUBLE) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        found = self.norm(self.conv(x.double())).relu().mean((2, 3))
        outputs: Tensor = self.linear(found)
        return outputs


def weights(
    recipe: Recipe, world: World, norm: nn.Module | None = None, execution: Execution = EXACT
) -> dict[str, Tensor]:
    """Train for the recipe's epochs; return weights and buffers, and what the epochs came to."""
    model = Net(norm or nn.GroupNorm(2, 6))
    cpu = torch.device("cpu")
    trainer = Trainer(
        recipe,
        tiny_data(),
        model,
        descent(recipe, model, cpu),
        seed=0,
        device=cpu,
        execution=execution,
        world=world,
    )
    epochs = [trainer.run_epoch(epoch) for epoch in range(recipe.epochs)]
    tested = trainer.validate()
    assert tested is not None
    found = {key: value.detach().clone() for key, value in model.state_dict().items()}
    said = [(e.train_loss, e.train_accuracy) for e in epochs]
    return {**found, "epochs": torch.tensor(said), "tested": torch.tensor(tested.loss)}


# Four epochs of batches of 4, 4, 4, 4 and 1 images: 20 steps, and at each fifth a rank without one.
def short(**fields: object) -> Recipe:
    small = {"epochs": 4, "batch_size": 4, "augment_flip": True, "tail_below": 5}
    return tiny_recipe("ce-drw", **{**small, "lpf_draws": 2, "pgd_threshold": 100.0, **fields})


def cases(world: World) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Make every training; of m-SAM a batch has six parts, a multiple of 2 and of 3 ranks."""
    for optimizer in OPTIMIZERS:
        yield optimizer, weights(short(optimizer=optimizer, rho=0.1), world)
    for name, fields in {
        "m-SAM": {"optimizer": "sam", "sam_shards": 6},
        "m-ASAM, larger batches": {"optimizer": "asam", "sam_shards": 6, "batch_size": 14},
        "sampled again": {"optimizer": "sam", "weighting": "resample"},
    }.items():
        yield name, weights(short(rho=0.1, **fields), world)
    for optimizer in ("sgd", "sam", "cc-sam"):
        norm = nn.BatchNorm2d(6)
        recipe = short(optimizer=optimizer, rho=0.1, sam_bn="first")
        yield f"{optimizer}, batch norm synchronised", weights(recipe, world, norm, SYNCHRONISED)


def refused(folder: Path, world: World, **fields: object) -> str:
    """Return what this rank says of a run that cannot be."""
    try:
        train_job(tiny_job(folder, **fields), world=world)
    except InputError as error:
        return str(error)
    return ""


def run_of_four_epochs(folder: Path) -> TrainingJob:
    """Return a run on a network whose batch norm sees the whole batch in any number of ranks."""
    recipe = short(optimizer="sam", rho=0.1)
    return tiny_job(folder, recipe, execution=SYNCHRONISED, keep_epochs=(2,))


def begin(folder: Path, world: World) -> None:
    """Make the first two epochs of a run, and end as if every rank were killed."""
    plain = Trainer.run_epoch

    def killed_in_the_third(self: Trainer, epoch: int) -> EpochMetrics:
        if epoch == 2:
            raise Killed
        return plain(self, epoch)

    killed = mock.patch.object(Trainer, "run_epoch", killed_in_the_third)
    with killed, contextlib.suppress(Killed):
        train_job(run_of_four_epochs(folder), world=world)


def differing(world: World) -> str:
    """Return what this rank says of weights that are others on another rank."""
    model = Net(nn.GroupNorm(2, 6))
    with torch.no_grad():
        model.linear.bias.add_(world.rank)
    try:
        check_same_network(model, world, "after epoch 3")
    except InputError as error:
        return str(error)
    return ""


def main(folder: Path) -> None:
    """Keep what this rank finds."""
    with joined() as world:
        found: dict[str, object] = dict(cases(world))
        begin(folder / "by several", world)
        train_job(run_of_four_epochs(folder / "by one"), world=world, resume=True)
        train_job(run_of_four_epochs(folder / "whole"), world=world)
        begin(folder / "again", world)
        train_job(run_of_four_epochs(folder / "again"), world=world, resume=True)
        found["by name"] = train(
            "ce-sam", DataRequest("digits", n_max=20), epochs=1, world=world
        ).digest()
        found["in use"] = refused(folder / "by one", world)
        found["compiled"] = refused(folder / "no", world, execution=Execution(compiled=True))
        several = short(optimizer="sam", rho=0.1, sam_shards=5)
        found["parts"] = refused(folder / "no", world, recipe=several)
        found["differing"] = differing(world)
    torch.save(found, folder / f"{world.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
