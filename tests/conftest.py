from dataclasses import dataclass

import pytest
import torch
from oracles import build_net, dense_hessian, images_and_labels, train
from torch import Tensor, nn

# The nets here are tiny: a second thread costs far more in hand-overs than it computes.
torch.set_num_threads(1)


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
