"""Normalisations by name, from text, or from the images themselves."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from checkpoints.data.dataset import LabelledInputs, Normalisation
from spectra.errors import InputError

CIFAR = Normalisation(name="cifar", mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
"""The constants of most CIFAR code bases, the long-tailed ones included, for 10 and 100 classes.

The standard deviations are means of per-image deviations, hence smaller than CIFAR-10's own
(.247, .243, .262); they are kept because published weights were trained with them.
"""

CIFAR100 = Normalisation(
    name="cifar100",
    mean=(0.5070751592371323, 0.48654887331495095, 0.4409178433670343),
    std=(0.2673342858792401, 0.2564384629170883, 0.27615047132568404),
)
"""Moments of the CIFAR-100 training images; source: github.com/weiaicunzai/pytorch-cifar100."""

IMAGENET = Normalisation(name="imagenet", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""The constants of torchvision's ImageNet weights."""

INATURALIST18 = Normalisation(
    name="inaturalist18", mean=(0.466, 0.471, 0.380), std=(0.195, 0.194, 0.192)
)
"""The constants of the published code for iNaturalist 2018."""

NORMALISATIONS = {n.name: n for n in (CIFAR, CIFAR100, IMAGENET, INATURALIST18)}
STD_FLOOR = 1e-3
"""Ours: a quarter of one grey level of 255, below the deviation of any channel with content."""


def parse_normalisation(text: str, *, channels: int, scale: float = 255.0) -> Normalisation:
    """Return the normalisation that ``text`` names or spells out.

    Args:
        text: ``cifar``, ``cifar100``, ``imagenet``, ``inaturalist18``, ``none`` (pixels in
            [0, 1]), or ``m1,m2,m3/s1,s2,s3``: means and standard deviations of pixels in [0, 1].
        channels: of the images.
        scale: pixel value that stands for 1; the named constants are for 255.

    Raises:
        InputError: the name is unknown, or the numbers do not fit the channels.
    """
    name = text.strip().lower()
    if name == "none":
        return Normalisation("none", (0.0,) * channels, (1.0,) * channels, scale)
    if name in NORMALISATIONS:
        named = NORMALISATIONS[name]
        if channels != len(named.mean):
            raise InputError(
                f"normalisation {name} is for 3 channels, the images have {channels}; "
                "use none, or give the numbers as m1,.../s1,..."
            )
        return named
    means, slash, stds = name.partition("/")
    try:
        mean = tuple(float(x) for x in means.split(","))
        std = tuple(float(x) for x in stds.split(","))
    except ValueError:
        slash = ""
    if not slash:
        raise InputError(
            f"normalisation must be {', '.join(NORMALISATIONS)}, none, or numbers such as "
            f"0.5,0.5,0.5/0.25,0.25,0.25 (means/standard deviations), got {text!r}"
        )
    if len(mean) != channels or len(std) != channels:
        raise InputError(
            f"normalisation needs {channels} means and {channels} standard deviations, one a "
            f"channel, got {len(mean)} and {len(std)} in {text!r}"
        )
    if not all(math.isfinite(x) for x in mean + std) or min(std) <= 0:
        raise InputError(
            f"normalisation needs finite means and positive standard deviations, got {text!r}"
        )
    return Normalisation("custom", mean, std, scale)


def from_images(images: Tensor, scale: float) -> Normalisation:
    """Return the per-channel mean and (population) standard deviation of the images.

    Exact: the moments come from the histogram of pixel values. Deviations are floored at
    ``STD_FLOOR``, so that a constant channel does not divide by zero.

    Args:
        images: uint8 (n, channels, h, w), at least one pixel.
        scale: pixel value that stands for 1.

    Raises:
        InputError: the images have another type or shape, or there are none.
    """
    if images.ndim != 4 or images.dtype != torch.uint8 or not images.numel():
        raise InputError(
            "images must be uint8 of shape (n, channels, h, w) with at least one pixel, got "
            f"{images.dtype} of shape {tuple(images.shape)}"
        )
    values = torch.arange(256, dtype=torch.float64) / scale
    means, stds = [], []
    for c in range(images.shape[1]):
        counts = torch.bincount(images[:, c].flatten(), minlength=256).double().cpu()
        frequency = counts / counts.sum()
        mean = float(frequency @ values)
        means.append(mean)
        stds.append(max(float(frequency @ (values - mean) ** 2) ** 0.5, STD_FLOOR))
    return Normalisation("data", tuple(means), tuple(stds), scale)


def of_floats(inputs: LabelledInputs, name: str, asked: str) -> Normalisation:
    """Return a normalisation of float images, whose pixels must go from 0 to 1.

    Raises:
        InputError: they are no images, or do not.
    """
    images = inputs.inputs
    if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point():
        raise InputError(
            f"--normalisation {asked} is for images, and the inputs of {name} are taken as they "
            "are; leave it out"
        )
    lowest, highest = float(images.min()), float(images.max())
    if lowest < 0 or highest > 1:
        raise InputError(
            f"--normalisation {asked} takes uint8 images, or floats from 0 to 1; those of {name} "
            f"go from {lowest:.3g} to {highest:.3g}: leave it out if they are normalised already"
        )
    if asked == "data":
        mean, std = images.double().mean((0, 2, 3)), images.double().std((0, 2, 3), correction=0)
        stds = tuple(max(one, STD_FLOOR) for one in std.tolist())
        return Normalisation("data", tuple(mean.tolist()), stds, 1.0)
    return replace(parse_normalisation(asked, channels=images.shape[1], scale=1.0), scale=1.0)
