"""ResNet-50, for photographs: what the paper trains on ImageNet-LT and iNaturalist 2018."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from checkpoints.models.heads import make_head

# Blocks of each stage, and the width of their 3x3 convolutions.
BLOCKS_OF_50 = (3, 4, 6, 3)
PLANES = (64, 128, 256, 512)
# A block returns this many times the channels of its 3x3 convolution.
EXPANSION = 4


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution with batch norm, and a projection where shapes differ.

    The 3x3 convolution has the stride, as in torchvision; He et al. 2016 gave it to the first.
    """

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        out = planes * EXPANSION
        self.conv1 = nn.Conv2d(in_planes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_planes != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_planes, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_planes, h, w) to (n, 4 planes, h / stride, w / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class BottleneckResNet(nn.Module):
    """A stem that quarters the image, four stages of bottlenecks, and a head.

    All stages but the first halve the image again, so that 224 x 224 pixels come to 7 x 7. Names
    and shapes of the weights are those of torchvision's ``resnet50`` (``conv1``, ``bn1``,
    ``layer1.0.conv1``, ..., ``fc``): weights of either load into the other.

    Source: He et al., CVPR 2016, as torchvision 0.2 and later build it. The cosine head on it is
    the published code's for LDAM (``model.fc = NormedLinear(2048, classes)``).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        head: str = "linear",
        blocks: Sequence[int] = BLOCKS_OF_50,
        planes: Sequence[int] = PLANES,
    ) -> None:
        super().__init__()
        width = planes[0]
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stages = []
        for stage, (depth, own) in enumerate(zip(blocks, planes, strict=True)):
            layers = []
            for i in range(depth):
                layers.append(Bottleneck(width, own, 2 if stage and not i else 1))
                width = own * EXPANSION
            stages.append(nn.Sequential(*layers))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = make_head(head, width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels, h, w) to logits, or cosines, (n, num_classes)."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        out: Tensor = self.fc(x.mean(dim=(2, 3)))
        return out
