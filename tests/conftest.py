import contextlib
import contextvars
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from oracles import build_net, dense_hessian, images_and_labels, train
from torch import Tensor, nn

from spectra.system.files.lock import locked

# Matrices are tiny too, and so is what commands do with them that run in processes of their own: a
# thread of OpenBLAS for each core would wait, spinning, for those of the other workers.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The nets here are tiny: a second thread costs far more in hand-overs than it computes.
torch.set_num_threads(1)

# Files that take longest, so that none of them is left to one worker at the end. The others of
# ``gpu`` wait for what the first one runs, and so come last.
LONGEST = ("tests/gpu/test_trainings_on_the_card.py", "tests/bench/suite/", "tests/studies/")
WAITING = "tests/gpu/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest files run first; all else stays in its order."""

    def turn(item: pytest.Item) -> int:
        if item.nodeid.startswith(LONGEST):
            return 0
        return 2 if item.nodeid.startswith(WAITING) else 1

    items.sort(key=turn)


@dataclass(frozen=True)
class TrainedNet:
    """A net trained for a few steps, its images, and its exact Hessian."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    hessian: Tensor
    eigenvalues: Tensor

    @property
    def scale(self) -> float:
        return float(self.eigenvalues.abs().max())


@pytest.fixture(scope="session")
def trained_nets() -> dict[str, TrainedNet]:
    nets = {}
    for kind, steps, lr in (
        ("softmax", 5, 0.3),
        ("smooth_mlp", 5, 0.3),
        ("mlp_bn", 15, 0.3),
        ("conv_resnet", 15, 0.3),
    ):
        images, labels = images_and_labels(22)
        model = train(build_net(kind), images, labels, steps=steps, lr=lr).eval()
        matrix = dense_hessian(model, images, labels)
        nets[kind] = TrainedNet(model, images, labels, matrix, torch.linalg.eigvalsh(matrix))
    return nets


@pytest.fixture(params=["softmax", "smooth_mlp", "mlp_bn", "conv_resnet"])
def trained_net(request, trained_nets) -> TrainedNet:
    return trained_nets[request.param]


@pytest.fixture
def net(trained_nets) -> TrainedNet:
    return trained_nets["smooth_mlp"]


@pytest.fixture
def held_elsewhere() -> Callable[[Path], contextlib.AbstractContextManager[None]]:
    """Hold a folder as another thread or process would."""

    @contextlib.contextmanager
    def held(folder: Path) -> Iterator[None]:
        there, lock = contextvars.Context(), locked(folder)
        there.run(lock.__enter__)
        try:
            yield
        finally:
            there.run(lock.__exit__, None, None, None)

    return held
