"""Files as others save them, and what we make of them."""

import pytest
import torch
from torch import nn

from checkpoints.formats.foreign import load_foreign
from checkpoints.models import Architecture, build_model
from spectra.errors import InputError

SGD_FOLDER = "cifar10_resnet32_CE_DRW_exp_0.01_seed_0_0"
SAM_FOLDER = "cifar10_resnet32_LDAM_DRW_exp_0.01_sam_0.8_sched_none_seed_3_0"


def state(name="resnet8", classes=10, **fields):
    return build_model(Architecture(name, classes, **fields)).state_dict()


def rename(weights, old, new):
    return {key.replace(old, new): value for key, value in weights.items()}


def prefixed(weights, prefix="module."):
    return {prefix + key: value for key, value in weights.items()}


def user_network(num_classes):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, num_classes))


def arch(path, **options):
    return load_foreign(path, **options).architecture


OWN_NET = """
from torch import nn
from own_layers_of_a_test import WIDTH

class Net(nn.Module):
    def __init__(self, num_classes=3, width=WIDTH):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).mean(dim=(2, 3)))

class Wide(Net):
    def __init__(self, num_classes, width):
        super().__init__(num_classes, width)

def plain():
    return Net()

def broken(num_classes):
    return nn.Linear(3, "four")

def no_module():
    return 3

network = Net()
"""


def own_weights(classes=3, width=4):
    generator = torch.Generator().manual_seed(0)
    return {
        "conv.weight": torch.randn(width, 3, 3, 3, generator=generator),
        "conv.bias": torch.randn(width, generator=generator),
        "norm.weight": torch.ones(width),
        "norm.bias": torch.zeros(width),
        "norm.running_mean": torch.zeros(width),
        "norm.running_var": torch.ones(width),
        "norm.num_batches_tracked": torch.tensor(7),
        "head.weight": torch.randn(classes, width, generator=generator),
        "head.bias": torch.zeros(classes),
    }


def outputs(loaded):
    return loaded.model()(torch.ones(1, 3, 5, 5)).shape[1]


def refused(path, arch, *words, **options):
    with pytest.raises(InputError) as error:
        load_foreign(path, arch=arch, **options)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
