"""Architectures by name, and user models as ``module:factory``."""

import importlib
import re
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from checkpoints.choices import ARCHITECTURES, CIFAR_DEPTHS
from checkpoints.models.resnet import ResNet
from spectra.errors import InputError
from spectra.results.provenance import PlainValue


@dataclass(frozen=True)
class Architecture:
    """What is needed to build a network again.

    Attributes:
        name: one of :data:`checkpoints.choices.ARCHITECTURES`, or ``module:factory``.
        num_classes: outputs.
        in_channels: channels of the images.
        image_size: height = width of the images in pixels.
        head: ``linear`` or ``cosine``.
        shortcut: ``A`` (zero padding) or ``B`` (1x1 convolutions); ResNets only.
    """

    name: str
    num_classes: int
    in_channels: int = 3
    image_size: int = 32
    head: str = "linear"
    shortcut: str = "A"

    def __post_init__(self) -> None:
        for key in ("num_classes", "in_channels", "image_size"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(
                    f"{key} of an architecture must be an integer from 1, got {value!r}"
                )
        for key in ("name", "head", "shortcut"):
            if not isinstance(getattr(self, key), str):
                raise InputError(
                    f"{key} of an architecture must be a word, got {getattr(self, key)!r}"
                )

    def to_dict(self) -> dict[str, PlainValue]:
        """Return the plain form that checkpoints store."""
        return asdict(self)


class SoftmaxRegression(nn.Module):
    """Logistic regression on pixels: a convex loss, the control for negative curvature."""

    def __init__(self, num_inputs: int, num_classes: int) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(num_inputs, num_classes)

    def forward(self, x: Any) -> Any:
        """Map images (n, channels, h, w) to logits (n, num_classes)."""
        return self.linear(self.flatten(x))


def build_model(arch: Architecture) -> nn.Module:
    """Build the network that ``arch`` describes; its weights are torch's defaults.

    Raises:
        InputError: the name is unknown, or a user's factory cannot be imported or called.
    """
    if arch.head not in ("linear", "cosine"):
        raise InputError(f"head must be linear or cosine, got {arch.head!r}")
    if arch.shortcut not in ("A", "B"):
        raise InputError(f"shortcut must be A or B, got {arch.shortcut!r}")
    if ":" in arch.name:
        return _user_model(arch)
    if arch.name == "softmax":
        if arch.head != "linear":
            raise InputError("architecture softmax has a linear head only")
        return SoftmaxRegression(arch.in_channels * arch.image_size**2, arch.num_classes)
    common: dict[str, Any] = {
        "num_classes": arch.num_classes,
        "in_channels": arch.in_channels,
        "head": arch.head,
        "shortcut": arch.shortcut,
    }
    if arch.name == "digits-resnet":
        return ResNet(blocks=(1, 1), planes=(16, 32), **common)
    match = re.fullmatch(r"resnet(\d+)", arch.name)
    if match and int(match[1]) in CIFAR_DEPTHS:
        depth = (int(match[1]) - 2) // 6
        return ResNet(blocks=(depth,) * 3, planes=(16, 32, 64), **common)
    raise InputError(
        f"unknown architecture {arch.name!r}; expected one of {', '.join(ARCHITECTURES)} or "
        "module:factory, a callable that takes num_classes and returns a torch module"
    )


def _user_model(arch: Architecture) -> nn.Module:
    module_name, _, factory_name = arch.name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
        model = factory(num_classes=arch.num_classes)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"cannot build {arch.name!r} as module:factory called with num_classes="
            f"{arch.num_classes}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{arch.name!r} returned {type(model).__name__}, not a torch module")
    return model
