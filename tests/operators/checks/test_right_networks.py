"""Networks whose derivatives are right pass the checks without a word, whatever the seed."""

import itertools
import logging
from collections.abc import Callable

import pytest
import torch
from planted_errors import images_and_labels
from torch import Tensor, nn

from checkpoints.models.resnet import ResNet
from spectra import HessianOperator


class Block(nn.Module):
    """A transformer's block, behind its layer norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mixer = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return (x + self.mixer(self.second(x))).mean(1, keepdim=True)


def mlp(*widths: int, act: Callable[[], nn.Module]) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1])


def conv_net(norm: Callable[[int], nn.Module], act: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), norm(8), act(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3), norm(16), act(), nn.Flatten(), nn.Linear(16 * 16, 10),
    )  # fmt: skip


def groups(channels: int) -> nn.Module:
    return nn.GroupNorm(4, channels)


def steep_softplus() -> nn.Module:
    return nn.Softplus(beta=20)


RIGHT: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "tiny relu": (lambda: mlp(12, 4, 10, act=nn.ReLU), (12,)),
    "relu": (lambda: mlp(64, 64, 64, 10, act=nn.ReLU), (64,)),
    "leaky": (lambda: mlp(64, 64, 64, 10, act=nn.LeakyReLU), (64,)),
    "gelu": (lambda: mlp(64, 64, 64, 10, act=nn.GELU), (64,)),
    "softplus": (lambda: mlp(64, 64, 64, 10, act=steep_softplus), (64,)),
    "batch norm": (lambda: conv_net(nn.BatchNorm2d, nn.ReLU), (3, 12, 12)),
    "group norm": (lambda: conv_net(groups, nn.SiLU), (3, 12, 12)),
    "attention": (lambda: nn.Sequential(Block(16), nn.Flatten(), nn.Linear(16, 10)), (6, 16)),
    "resnet": (lambda: ResNet(blocks=(1, 1), planes=(8, 16), num_classes=10), (3, 16, 16)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_network_passes_without_a_word(name, seed, caplog):
    make, shape = RIGHT[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
    with caplog.at_level(logging.INFO, logger="spectra"):
        HessianOperator(model, *images_and_labels(10, *shape, seed=seed))
    assert caplog.messages == []


def test_a_network_of_a_million_parameters_passes_without_a_word(caplog):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = mlp(3072, 300, 300, 10, act=nn.ReLU)
    with caplog.at_level(logging.INFO, logger="spectra"):
        op = HessianOperator(model, *images_and_labels(10, 3072))
    assert (op.size > 1_000_000, caplog.messages) == (True, [])


def test_a_network_far_from_its_start_passes(trained_nets, caplog):
    for net in trained_nets.values():
        HessianOperator(net.model, net.images, net.labels)
    assert caplog.messages == []
