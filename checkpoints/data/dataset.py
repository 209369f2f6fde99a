"""What a data set is to the rest of the toolkit: tensors, a description, and an identity."""

import functools
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.results.provenance import Description, PlainValue


@dataclass(frozen=True)
class LabelledImages:
    """Images of one split.

    Attributes:
        images: uint8 (n, channels, height, width).
        labels: int64 (n,), 0 <= label < number of classes.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise InputError(
                "images must be uint8 of shape (n, channels, height, width), got "
                f"{self.images.dtype} of shape {tuple(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise InputError(
                f"labels must be int64 of shape ({len(self.images)},), got "
                f"{self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, index: Tensor) -> "LabelledImages":
        """Return the images at the positions ``index`` (n,), in that order."""
        return LabelledImages(self.images[index], self.labels[index])

    def counts(self, num_classes: int) -> tuple[int, ...]:
        """Return the number of images of each class."""
        return tuple(torch.bincount(self.labels, minlength=num_classes).tolist())


@dataclass(frozen=True)
class Normalisation:
    """Per-channel affine map: (pixel / scale - mean) / std.

    Attributes:
        name: what the user asked for (``cifar``, ``imagenet``, ``data``, ``none``, ``custom``).
        mean: one value a channel, of pixels scaled to [0, 1].
        std: standard deviation, one value a channel, of the same.
        scale: pixel value that stands for 1 (255 for photographs, 16 for the digits).
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0

    def __call__(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return uint8 images (n, channels, h, w) as normalised floats on the same device."""
        if images.shape[1] != len(self.mean):
            raise InputError(
                f"normalisation {self.name} has {len(self.mean)} channels, the images have "
                f"{images.shape[1]}; choose another with --normalisation"
            )
        mean, std = _constants(self, dtype, images.device)
        return (images.to(dtype) / self.scale - mean) / std

    def to_dict(self) -> dict[str, PlainValue]:
        """Return the plain form that checkpoints store."""
        return {
            "name": self.name,
            "mean": list(self.mean),
            "std": list(self.std),
            "scale": self.scale,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Normalisation":
        """Rebuild what :meth:`to_dict` wrote."""
        return cls(
            name=str(fields["name"]),
            mean=tuple(float(x) for x in fields["mean"]),
            std=tuple(float(x) for x in fields["std"]),
            scale=float(fields["scale"]),
        )


@functools.lru_cache(maxsize=64)
def _constants(
    normalisation: Normalisation, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return mean and deviation, (1, channels, 1, 1): kept, for each upload makes a card wait."""
    mean, std = (
        torch.tensor(values, dtype=dtype, device=device).view(1, -1, 1, 1)
        for values in (normalisation.mean, normalisation.std)
    )
    return mean, std


@dataclass(frozen=True)
class ImageData:
    """A training set, its test set, and what is needed to recognise them again.

    Attributes:
        name: ``digits``, ``cifar10``, ``cifar100`` or the stem of a file.
        train: training images, long-tailed where a profile was asked for.
        test: test images, or None.
        num_classes: C; ``train.labels`` need not hold every class.
        normalisation: the default for networks trained on this data.
        description: plain values that rebuild the data (no paths).
    """

    name: str
    train: LabelledImages
    test: LabelledImages | None
    num_classes: int
    normalisation: Normalisation
    description: Description = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.test is not None and self.test.images.shape[1:] != self.train.images.shape[1:]:
            there, here = (tuple(s.images.shape[1:]) for s in (self.test, self.train))
            raise InputError(
                f"test images of {self.name} must have the (channels, height, width) of its "
                f"training images, {here}, got {there}"
            )

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Training images of each class."""
        return self.train.counts(self.num_classes)

    def split(self, name: str) -> LabelledImages:
        """Return the split ``train`` or ``test``."""
        if name == "train":
            return self.train
        if name != "test":
            raise InputError(f"split must be train or test, got {name!r}")
        if self.test is None:
            raise InputError(
                f"data {self.name} came without test images; give them as npz:TRAIN.npz,TEST.npz"
            )
        return self.test

    def digest(self) -> str:
        """Return the SHA-256 of the training images and labels, in order; computed once."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        h = hashlib.sha256()
        h.update(repr(tuple(self.train.images.shape)).encode())
        h.update(self.train.images.contiguous().numpy().tobytes())
        h.update(self.train.labels.contiguous().numpy().tobytes())
        return h.hexdigest()
