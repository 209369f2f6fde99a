"""The checks at construction cost at most what three products cost."""

import pytest
import torch
from planted_errors import images_and_labels
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from checkpoints.models.resnet import ResNet
from spectra import HessianOperator


def resnet() -> nn.Module:
    return ResNet(blocks=(1, 1), planes=(8, 16), num_classes=10)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 48), nn.Tanh(), nn.Linear(48, 10))


class FloatingPoint(FlopCounterMode):
    """Counts what matrix products and convolutions cost, twice where they are in float64."""

    def __init__(self) -> None:
        super().__init__(display=False)
        self.total = 0

    def _count_flops(self, func_packet, out, args, kwargs):
        before = self.get_total_flops()
        out = super()._count_flops(func_packet, out, args, kwargs)
        double = any(isinstance(a, torch.Tensor) and a.dtype == torch.float64 for a in args)
        self.total += (2 if double else 1) * (self.get_total_flops() - before)
        return out


def cost_of(work) -> int:
    with FloatingPoint() as counted:
        work()
    return counted.total


@pytest.mark.parametrize(
    ("make", "shape"), [(resnet, (3, 16, 16)), (mlp, (64,))], ids=["resnet", "mlp"]
)
def test_checks_over_64_images_cost_at_most_three_products(make, shape):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make()
    images, labels = images_and_labels(64, *shape)
    plain, checked = (
        cost_of(lambda check=check: HessianOperator(model, images, labels, check=check))
        for check in (False, True)
    )
    op = HessianOperator(model, images, labels, check=False)
    v = torch.ones(op.size)
    op.matvec(v)  # the primal work is kept: what is counted is the cheaper, second product
    assert 0 < checked - plain <= 3 * cost_of(lambda: op.matvec(v))
