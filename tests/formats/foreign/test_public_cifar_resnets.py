"""The files of github.com/akamaster/pytorch_resnet_cifar10: their keys, and what they compute."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from checkpoints.formats.foreign import load_foreign
from spectra import make_generator


class Shortcut(nn.Module):
    def __init__(self, planes):
        super().__init__()
        self.planes = planes

    def forward(self, x):
        quarter = self.planes // 4
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter), "constant", 0)


class Block(nn.Module):
    """Written out as there, with shortcut A."""

    def __init__(self, in_planes, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != planes:
            self.shortcut = Shortcut(planes)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class PublicResNet(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        widths = (16, 16, 32, 64)
        for stage in (1, 2, 3):
            layers = [Block(widths[stage - 1], widths[stage], 1 if stage == 1 else 2)]
            layers += [Block(widths[stage], widths[stage], 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        return self.linear(F.avg_pool2d(out, out.size()[3]).flatten(1))


@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_public_cifar_resnets_load_and_compute_what_they_did(save, depth):
    generator = make_generator(depth, "public")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(depth)
        model = PublicResNet((depth - 2) // 6)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean += 0.1 * torch.randn(module.num_features, generator=generator)
            module.running_var += torch.rand(module.num_features, generator=generator)
    weights = {f"module.{key}": value for key, value in model.state_dict().items()}
    path = save({"state_dict": weights, "best_prec1": 91.73}, f"resnet{depth}-12fca82f.th")
    loaded = load_foreign(path)
    assert (loaded.architecture.name, loaded.architecture.shortcut) == (f"resnet{depth}", "A")
    assert loaded.metrics == {"best_prec1": 91.73}
    assert any("--normalisation" in note and "imagenet" in note for note in loaded.notes)
    x = torch.randn(2, 3, 32, 32, generator=generator)
    with torch.no_grad():
        wanted = model.eval()(x)
        # float32 rounding of one network in two orders of summation
        torch.testing.assert_close(loaded.model()(x), wanted, rtol=1e-4, atol=1e-5)
