"""Residual networks for small images: CIFAR ResNet-8 to -110 and a small net for the digits."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checkpoints.models.bottlenecks import BottleneckResNet
from checkpoints.models.heads import CosineHead, make_head


class PadShortcut(nn.Module):
    """Option A of He et al. 2016: every second pixel, new channels filled with zeros."""

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (planes - in_planes) // 2
        self.after = planes - in_planes - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_planes, h, w) to (n, planes, h / stride, w / stride)."""
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and a shortcut of option A or B."""

    def __init__(self, in_planes: int, planes: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_planes != planes:
            if shortcut == "A":
                self.shortcut = PadShortcut(in_planes, planes, stride)
            else:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(in_planes, planes, 1, stride=stride, bias=False),
                    nn.BatchNorm2d(planes),
                )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_planes, h, w) to (n, planes, h / stride, w / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class ResNet(nn.Module):
    """A stem, stages of basic blocks (all but the first halve the image), and a head.

    Parameter names are those of the common CIFAR code bases (``conv1``, ``bn1``,
    ``layer1.0.conv1``, ..., ``linear``), so that their weights load unchanged.
    """

    def __init__(
        self,
        *,
        blocks: Sequence[int],
        planes: Sequence[int],
        num_classes: int,
        in_channels: int = 3,
        head: str = "linear",
        shortcut: str = "A",
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, planes[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes[0])
        self.num_stages = len(planes)
        width = planes[0]
        for stage, (depth, out) in enumerate(zip(blocks, planes, strict=True), start=1):
            layers = []
            for i in range(depth):
                stride = 2 if stage > 1 and i == 0 else 1
                layers.append(BasicBlock(width, out, stride, shortcut))
                width = out
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
        self.linear = make_head(head, width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels, h, w) to logits, or cosines, (n, num_classes)."""
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(1, self.num_stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        out: Tensor = self.linear(x.mean(dim=(2, 3)))
        return out


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Draw fresh weights: He-normal for convolutions and linear layers, as in the CIFAR codes.

    Cosine heads: uniform in [-1, 1], each column then renormalised to length 1 (Cao et al. 2019).
    Biases start at zero. Nothing is read from torch's global generator. ResNet-50 has the variances
    of torchvision's, which the published code starts from: 2 / fan-out of convolutions, and torch's
    default, 1 / (3 fan-in), of a linear head.
    """
    photos = isinstance(model, BottleneckResNet)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                variance = 2.0 / module.weight[0].numel()
                if photos and isinstance(module, nn.Conv2d):
                    variance = 2.0 / module.weight[:, 0].numel()
                elif photos:
                    variance /= 6
                std = variance**0.5
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * std)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, CosineHead):
                drawn = torch.rand(module.weight.shape, generator=generator) * 2 - 1
                module.weight.copy_(F.normalize(drawn, dim=0))
