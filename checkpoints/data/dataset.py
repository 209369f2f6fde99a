"""What a data set is to the rest of the toolkit: tensors, a description, and an identity."""

import functools
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor

from checkpoints.data.photos.photos import Photos
from spectra.errors import InputError
from spectra.objective.samples.input_tree import InputTree, Samples, forms, select
from spectra.results.provenance import Description, PlainValue
from spectra.system.files.limits import check_limit


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

    @property
    def inputs(self) -> Tensor:
        """What a network is given, before normalisation: the images."""
        return self.images

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The images."""
        return (self.images,)

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return tuple(self.images.shape[1:])

    def subset(self, index: Tensor) -> "LabelledImages":
        """Return the images at the positions ``index`` (n,), in that order."""
        return LabelledImages(self.images[index], self.labels[index])

    def counts(self, num_classes: int) -> tuple[int, ...]:
        """Return the number of images of each class."""
        return _counts(self.labels, num_classes)


@dataclass(frozen=True)
class LabelledInputs:
    """Inputs of one split as the network takes them: finished images, token ids, or several.

    Attributes:
        inputs: n samples: a tensor (n, ...), or several in a dictionary, tuple or list; floats
            that are not normalised again unless that is asked for, integers that stay integers.
        labels: int64 (n,), 0 <= label < number of classes.
    """

    inputs: Samples
    labels: Tensor

    def __post_init__(self) -> None:
        if self.labels.dtype != torch.int64 or self.labels.shape != (len(self.inputs),):
            raise InputError(
                f"labels must be int64 of shape ({len(self.inputs)},), got "
                f"{self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """Never: what needs pixels of 8 bits (training, augmentations) cannot have them.

        Raises:
            InputError: always.
        """
        raise InputError(
            "this needs images of 8-bit pixels (uint8), and the data are inputs as the network "
            "takes them; give images as uint8"
        )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The inputs, in the order of their names or places."""
        if isinstance(self.inputs, InputTree):
            return tuple(leaf[:] for _, leaf in sorted(self.inputs.leaves.items()))
        return (self.inputs[:],)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample; of several tensors, of the first."""
        return next(iter(forms(self.inputs).values()))[1][1:]

    def subset(self, index: Tensor) -> "LabelledInputs":
        """Return the samples at the positions ``index`` (n,), in that order."""
        return LabelledInputs(select(self.inputs, index), self.labels[index])

    def counts(self, num_classes: int) -> tuple[int, ...]:
        """Return the number of samples of each class."""
        return _counts(self.labels, num_classes)


Labelled: TypeAlias = LabelledImages | LabelledInputs | Photos


def _counts(labels: Tensor, num_classes: int) -> tuple[int, ...]:
    return tuple(torch.bincount(labels, minlength=num_classes).tolist())


# Ours: far past any pixel, and (255 · 10¹² + 10¹²) · 10¹² is still a number in float32.
_LARGEST = 1e12


@dataclass(frozen=True)
class Normalisation:
    """Per-channel affine map: (pixel / scale - mean) / std.

    Attributes:
        name: what the user asked for (``cifar``, ``imagenet``, ``data``, ``none``, ``custom``).
        mean: one value a channel, of pixels scaled to [0, 1].
        std: standard deviation, one value a channel, of the same.
        scale: pixel value that stands for 1 (255 for photographs, 16 for the digits).

    Raises:
        InputError: the name is too long, or a number is none that images in float32 survive.
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0

    def __post_init__(self) -> None:
        check_limit("name", len(self.name), "name of a normalisation")
        means = {f"mean[{k}]": value for k, value in enumerate(self.mean)}
        for name, value in means.items():
            if not abs(value) <= _LARGEST:
                raise InputError(
                    f"{name} of a normalisation must be finite and at most {_LARGEST:g}, "
                    f"got {value}"
                )
        stds = {f"std[{k}]": value for k, value in enumerate(self.std)}
        for name, value in {**stds, "scale": self.scale}.items():
            if not 1 / _LARGEST <= value <= _LARGEST:
                raise InputError(
                    f"{name} of a normalisation must be positive, from {1 / _LARGEST:g} to "
                    f"{_LARGEST:g}, got {value}"
                )

    def __call__(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return images (n, channels, h, w) as normalised floats on the same device."""
        if images.ndim != 4 or images.shape[1] != len(self.mean):
            raise InputError(
                f"normalisation {self.name} has {len(self.mean)} channels, the images are "
                f"{tuple(images.shape[1:])}; choose another with --normalisation"
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


AS_GIVEN = Normalisation("as given", mean=(), std=(), scale=1.0)
"""Of inputs that are what the network takes: it is not called on them."""


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
        notes: what was taken for what when they were read.
    """

    name: str
    train: Labelled
    test: Labelled | None
    num_classes: int
    normalisation: Normalisation
    description: Description = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.test is not None and type(self.test) is not type(self.train):
            raise InputError(
                f"training and test images of {self.name} must be of one kind, uint8 or floats"
            )
        if self.test is not None and self.test.shape != self.train.shape:
            there, here = self.test.shape, self.train.shape
            raise InputError(
                f"test images of {self.name} must have the (channels, height, width) of its "
                f"training images, {here}, got {there}"
            )

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Training images of each class."""
        return self.train.counts(self.num_classes)

    def split(self, name: str) -> Labelled:
        """Return the split ``train`` or ``test``."""
        if name == "train":
            return self.train
        if name != "test":
            raise InputError(f"split must be train or test, got {name!r}")
        if self.test is None:
            raise InputError(
                f"data {self.name} came without test samples; give them as npz:TRAIN.npz,TEST.npz, "
                "as folders train and test, or return (training, test) from the function"
            )
        return self.test

    def digest(self) -> str:
        """Return the SHA-256 of the training inputs and labels, in order; computed once."""
        return self._digest

    def test_digest(self) -> str | None:
        """Return the SHA-256 of the test inputs and labels, computed once; None without them."""
        return self._test_digest

    @cached_property
    def _digest(self) -> str:
        return _digest_of(self.train)

    @cached_property
    def _test_digest(self) -> str | None:
        return None if self.test is None else _digest_of(self.test)


def _digest_of(split: Labelled) -> str:
    if isinstance(split, Photos):
        return split.digest()
    h = hashlib.sha256()
    for tensor in split.tensors:
        h.update(repr(tuple(tensor.shape)).encode())
        h.update(tensor.contiguous().numpy().tobytes())
    h.update(split.labels.contiguous().numpy().tobytes())
    return h.hexdigest()
