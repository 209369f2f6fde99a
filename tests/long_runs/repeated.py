"""What somebody does again and again in one process, as small as it can be."""

from collections.abc import Callable
from pathlib import Path

import augmented
import torch
from drawn_results import analysis, record_of
from oracles import build_net, images_and_labels
from tiny_trainings import tiny_job, tiny_recipe
from torch import Tensor, nn

import spectra
from checkpoints import load_checkpoint
from checkpoints.data import ImageProtocol
from checkpoints.training.run import train_job
from figures import plot_accuracy, plot_contrast, save_figure
from figures.density import density_grid
from spectra import (
    ClassSpectra,
    DenseOperator,
    HessianOperator,
    SolverSettings,
    analyze_fresh,
    analyze_loss,
    make_generator,
)

DATA = images_and_labels(12)
DOUBLE = torch.float64
SHORT = {"num_probes": 1, "num_steps": 3, "max_steps": 4}


class Untraceable(nn.Module):
    """A network that asks for a value, which ``torch.fx`` does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.net = build_net("smooth_mlp")

    def forward(self, x: Tensor) -> Tensor:
        # Operations that save their own results, as exp does, could hold themselves for good.
        return self.net(x).exp().log_softmax(1) if x.abs().max() < 100 else x


class UnitOutputs(nn.Module):
    """A network with a head that normalises, which its chain of layers ends before."""

    def __init__(self) -> None:
        super().__init__()
        self.net = build_net("smooth_mlp")

    def forward(self, x: Tensor) -> Tensor:
        return 5 * nn.functional.normalize(self.net(x))


def _classes(network: nn.Module, **options: object) -> Callable[[], object]:
    return lambda: spectra.analyze_classes(network, DATA, [0], **{**SHORT, **options})


def _fresh(engine: str) -> Callable[[], object]:
    pictures, labels = augmented.pictures(), torch.arange(3)
    protocol = ImageProtocol.parse("fresh", crop=1, flip=False)
    settings = SolverSettings(engine=engine, probe="rademacher", num_probes=1, num_steps=3)

    def action() -> object:
        op = HessianOperator(augmented.net(), augmented.floats(pictures), labels, dtype=DOUBLE)
        draw = protocol.fresh(pictures, augmented.floats, make_generator(0))
        return analyze_fresh(op, draw, label="0", classes=(0,), settings=settings)

    return action


def _by_pyhessian() -> object:
    op = HessianOperator(build_net("smooth_mlp"), *DATA)
    settings = SolverSettings(engine="pyhessian", **SHORT)
    return analyze_loss(op, label="all", classes=(0, 1, 2), settings=settings)


def _while_it_trains() -> object:
    network, recorder = build_net("mlp_bn").train(), ClassSpectra(DATA, classes=[0], **SHORT)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for epoch in (1, 2):
        nn.functional.cross_entropy(network(DATA[0]), DATA[1]).backward()
        optimizer.step()
        recorder.record(network, epoch)
    return recorder


ANALYSES: dict[str, Callable[[], object]] = {
    "tangent": _classes(build_net("mlp_bn")),
    "a head that normalises": _classes(UnitOutputs()),
    "double backward": _classes(Untraceable()),
    "vectors": _classes(build_net("smooth_mlp"), top=1),
    "fresh draws": _fresh("spectra"),
    "fresh draws, as published": _fresh("pyhessian"),
    "PyHessian": _by_pyhessian,
    "while a network trains": _while_it_trains,
    "a stored checkpoint": lambda: load_checkpoint("bundled:digits/ce-drw"),
}


def training_in(folder: Path) -> Callable[[], object]:
    """Return a training of two epochs that is interrupted by nothing and begins anew."""

    def action() -> object:
        for file in folder.rglob("*"):
            if file.is_file():
                file.unlink()
        return train_job(tiny_job(folder, tiny_recipe("ce-drw-sam", epochs=2)))

    return action


def figures_in(folder: Path) -> dict[str, Callable[[], object]]:
    """Return by name what draws a figure anew, and writes it in one of the formats each."""
    eigenvalues = torch.linspace(-3, 20, 12, dtype=torch.float64)
    op = DenseOperator(torch.diag(eigenvalues))
    found = spectra.slq(
        op, num_probes=1, num_steps=6, probe="rademacher", generator=make_generator(0)
    )
    one = analysis(record_of(found, "7"), record_of(found, "8"))
    return {
        "density.png": lambda: save_figure(density_grid({"a": one}, ["7"]), folder / "density.png"),
        "contrast.pdf": lambda: save_figure(
            plot_contrast({"a": [one]}, groups={"head": [7], "tail": [8]}), folder / "contrast.pdf"
        ),
        "accuracy.svg": lambda: save_figure(
            plot_accuracy({"a": [[0.5, 0.9]]}, class_counts=[20, 5]), folder / "accuracy.svg"
        ),
    }
