"""Architectures by name, and networks of others as ``module:NAME``."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from checkpoints.choices import ARCHITECTURES, CIFAR_DEPTHS, PHOTO_NETWORK
from checkpoints.models.bottlenecks import BottleneckResNet
from checkpoints.models.defined import networks_defined_in_file
from checkpoints.models.factories import Factory, own_factory
from checkpoints.models.libraries import HUGGING_FACE, TIMM, hugging_face_factory, timm_factory
from checkpoints.models.resnet import ResNet
from checkpoints.own_code import recorded_name
from spectra.errors import InputError
from spectra.results.provenance import PlainValue
from spectra.system.files.limits import check_limit

FACTORIES = "FOLDER/FILE.py:CLASS or module:function of your own, timm:NAME or hf:FOLDER"


@dataclass(frozen=True)
class Architecture:
    """What is needed to build a network again.

    Attributes:
        name: one of :data:`checkpoints.choices.ARCHITECTURES`, or ``module:NAME`` and the others
            that :func:`factory_named` takes.
        num_classes: outputs.
        in_channels: channels of the images.
        image_size: height = width of the images in pixels.
        head: ``linear`` or ``cosine``.
        shortcut: ``A`` (zero padding) or ``B`` (1x1 convolutions); CIFAR and digits ResNets only.
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
        check_limit("classes", self.num_classes, "num_classes of an architecture")
        values = self.in_channels * self.image_size**2
        check_limit("image_pixels", values, "in_channels x image_size x image_size")
        for key in ("name", "head", "shortcut"):
            if not isinstance(getattr(self, key), str):
                raise InputError(
                    f"{key} of an architecture must be a word, got {getattr(self, key)!r}"
                )
            check_limit("name", len(getattr(self, key)), f"{key} of an architecture")

    def to_dict(self) -> dict[str, PlainValue]:
        """Return the plain form that checkpoints store; factories without their folders."""
        return {**asdict(self), "name": recorded_name(self.name)}


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
        return _named_model(arch)
    if arch.name == "softmax":
        if arch.head != "linear":
            raise InputError("architecture softmax has a linear head only")
        return SoftmaxRegression(arch.in_channels * arch.image_size**2, arch.num_classes)
    common: dict[str, Any] = {
        "num_classes": arch.num_classes,
        "in_channels": arch.in_channels,
        "head": arch.head,
    }
    if arch.name == PHOTO_NETWORK:
        return BottleneckResNet(**common)
    common["shortcut"] = arch.shortcut
    if arch.name == "digits-resnet":
        return ResNet(blocks=(1, 1), planes=(16, 32), **common)
    match = re.fullmatch(r"resnet(\d+)", arch.name)
    if match and int(match[1]) in CIFAR_DEPTHS:
        depth = (int(match[1]) - 2) // 6
        return ResNet(blocks=(depth,) * 3, planes=(16, 32, 64), **common)
    if arch.name.endswith(".py"):
        there = networks_defined_in_file(Path(arch.name))
        raise InputError(
            f"--arch {arch.name} names a file; name the network in it, too: "
            + " or ".join(f"--arch {arch.name}:{name}" for name in there[:3] or ["Net"])
        )
    raise InputError(
        f"unknown architecture {arch.name!r}; expected one of {', '.join(ARCHITECTURES)}, or "
        f"{FACTORIES}"
    )


def factory_named(
    text: str, folders: Sequence[Path] = (), in_channels: int | None = None
) -> Factory:
    """Return the factory that the user named: own code, timm's, or a Hugging Face folder's.

    Args:
        text: ``module:NAME``, ``FOLDER/FILE.py:NAME``, ``timm:NAME`` or ``hf:FOLDER``.
        folders: where a module of the user's own is looked for, too.
        in_channels: of the images, for timm.

    Raises:
        InputError: there is no such thing, or a library is not installed.
    """
    kind = text.partition(":")[0]
    if kind == TIMM:
        return timm_factory(text, in_channels)
    if kind == HUGGING_FACE:
        return hugging_face_factory(text)
    with torch.random.fork_rng(devices=[]):  # a module may build networks while it is imported
        return own_factory(text, folders)


def _named_model(arch: Architecture) -> nn.Module:
    try:
        return factory_named(arch.name, in_channels=arch.in_channels).build(arch.num_classes)
    except InputError as error:
        raise InputError(f"cannot build {arch.name!r}: {error}") from error
