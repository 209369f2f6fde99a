"""Data by name: ``digits``, ``cifar10``, ``cifar100``, or ``npz:TRAIN.npz[,TEST.npz]``."""

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from checkpoints.data.cifar import read_cifar
from checkpoints.data.dataset import ImageData, LabelledImages
from checkpoints.data.longtail import class_counts, select_long_tail
from checkpoints.data.normalisations import CIFAR, from_images
from spectra.errors import InputError
from spectra.results.provenance import PlainValue

DATA_VARIABLE = "SPECTRA_DATA"
DIGITS_TEST_PER_CLASS = 50
# Ours: five times the classes of ImageNet-21k; counting them takes memory in proportion.
MAX_CLASSES = 100_000
# What numpy, zipfile and zlib raise on a file that is no intact npz (a plain .npy: TypeError).
_DAMAGE = (
    OSError, ValueError, EOFError, TypeError, AttributeError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class DataRequest:
    """What the user asked for.

    Attributes:
        source: ``digits``, ``cifar10[:FOLDER]``, ``cifar100[:FOLDER]``, ``npz:TRAIN[,TEST]``.
        profile: ``exp``, ``step`` or ``none``; None: ``none`` for npz, else ``exp``.
        imbalance_factor: smallest over largest class; None: .05 for digits, .01 for CIFAR.
        n_max: size of the largest class; None: N / C, or the smallest class where that is less.
        selection_seed: of the subset; the published subsets use 0 for every training seed.
    """

    source: str = "digits"
    profile: str | None = None
    imbalance_factor: float | None = None
    n_max: int | None = None
    selection_seed: int = 0


def load_data(request: DataRequest | str | None = None) -> ImageData:
    """Read a source and cut its training set to the requested profile.

    Args:
        request: what is wanted, or its source alone; the digits with their default profile
            where None.

    Raises:
        InputError: the source is unknown, missing, or not what it claims to be.

    Example:
        >>> from checkpoints import load_data
        >>> digits = load_data("digits")
        >>> digits.class_counts
        (124, 88, 63, 45, 32, 23, 16, 12, 8, 6)
    """
    request = DataRequest(request) if isinstance(request, str) else request or DataRequest()
    kind, _, place = request.source.partition(":")
    test: LabelledImages | None
    if request.n_max is not None and request.n_max < 1:
        raise InputError(f"n_max must be at least 1, got {request.n_max}")
    if request.selection_seed < 0:
        raise InputError(f"selection_seed must not be negative, got {request.selection_seed}")
    if kind == "digits":
        if place:
            raise InputError(f"digits take no folder, got {request.source!r}")
        train, test = _digits()
        scale, default_factor = 16.0, 0.05
    elif kind in ("cifar10", "cifar100"):
        train, test = read_cifar(_cifar_folder(kind, place), kind)
        scale, default_factor = 255.0, 0.01
    elif kind == "npz":
        train, test = _npz(place)
        scale, default_factor = 255.0, 0.01
    else:
        raise InputError(
            f"unknown data source {request.source!r}; expected digits, cifar10[:FOLDER], "
            "cifar100[:FOLDER] or npz:TRAIN.npz[,TEST.npz]"
        )
    num_classes = int(max(train.labels.max(), test.labels.max() if test else 0)) + 1
    profile = request.profile or ("none" if kind == "npz" else "exp")
    factor = request.imbalance_factor if request.imbalance_factor is not None else default_factor
    description: dict[str, PlainValue] = {
        "source": kind,
        "profile": profile,
        "selection_seed": request.selection_seed,
    }
    if not (kind == "npz" and profile == "none"):
        available = train.counts(num_classes)
        n_max = request.n_max or min(len(train) // num_classes, min(available))
        if profile == "none":
            factor = 1.0
        counts = class_counts(
            profile, num_classes=num_classes, n_max=n_max, imbalance_factor=factor
        )
        kept = select_long_tail(train.labels.numpy(), counts, seed=request.selection_seed)
        train = train.subset(torch.from_numpy(kept))
        description |= {"imbalance_factor": factor, "n_max": n_max}
    elif request.n_max is not None or request.imbalance_factor is not None:
        raise InputError("npz data is taken as it is; give --profile to cut it to a long tail")
    name = kind
    if kind == "npz":
        name, *more = [Path(part).stem for part in place.split(",") if part]
        description |= {"test_name": more[0] if more else None}
    photographs = kind != "digits" and train.images.shape[1] == 3
    return ImageData(
        name=name,
        train=train,
        test=test,
        num_classes=num_classes,
        normalisation=CIFAR if photographs else from_images(train.images, scale),
        description=description | {"name": name},
    )


def recipe_family(data: ImageData) -> str:
    """Return the family of hyperparameters that fits the data: by name, size and classes."""
    if data.description["source"] == "digits" or data.train.images.shape[-1] < 16:
        return "digits"
    return "cifar100" if data.num_classes == 100 else "cifar10"


def data_folder() -> Path | None:
    """Return the folder that the variable ``SPECTRA_DATA`` names, or None."""
    value = os.environ.get(DATA_VARIABLE)
    return Path(value).expanduser() if value else None


def _digits() -> tuple[LabelledImages, LabelledImages]:
    """Return scikit-learn's 1,797 real 8x8 digits; 50 a class, drawn once, are the test set."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = np.asarray(bunch.target, dtype=np.int64)
    images = np.asarray(bunch.images, dtype=np.uint8)[:, None]
    test = select_long_tail(labels, (DIGITS_TEST_PER_CLASS,) * 10, seed=0)
    train = np.setdiff1d(np.arange(len(labels)), test)
    return _labelled(images[train], labels[train]), _labelled(images[test], labels[test])


def _cifar_folder(kind: str, place: str) -> Path:
    if place:
        return Path(place).expanduser()
    folder = data_folder()
    if folder is None:
        raise InputError(
            f"{kind} needs a folder: give {kind}:FOLDER or set {DATA_VARIABLE}; "
            f"'spectra data fetch {kind}' downloads it"
        )
    return folder


def _npz(place: str) -> tuple[LabelledImages, LabelledImages | None]:
    parts = [Path(part).expanduser() for part in place.split(",") if part]
    if not 1 <= len(parts) <= 2:
        raise InputError(f"expected npz:TRAIN.npz[,TEST.npz], got {('npz:' + place)!r}")
    read = [_read_npz(_existing(part)) for part in parts]
    return read[0], read[1] if len(read) == 2 else None


def _existing(path: Path) -> Path:
    folder = data_folder()
    if not path.exists() and folder is not None and (folder / path).exists():
        return folder / path
    return path


def _read_npz(path: Path) -> LabelledImages:
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            if not {"images", "labels"} <= set(file.files):
                raise InputError(
                    f"{path} must hold the arrays images and labels, it holds "
                    f"{', '.join(file.files) or 'none'}"
                )
            images, labels = np.asarray(file["images"]), np.asarray(file["labels"])
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except _DAMAGE as error:
        # numpy takes what is no zip archive for a pickle, and advises to load it as one.
        reason = "it is no npz archive" if "pickle" in str(error) else error
        raise InputError(
            f"cannot read {path} as an npz file of images and labels: {reason}"
        ) from error
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise InputError(
            f"{path}: images must be uint8 of shape (n, channels, h, w) or (n, h, w, channels), "
            f"got {images.dtype} of shape {images.shape}"
        )
    if not images.size:
        raise InputError(
            f"{path}: at least one image of at least one pixel is needed, got shape {images.shape}"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: labels must be integers of shape ({len(images)},), "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise InputError(
            f"{path}: labels must number the classes from 0 and lie below {MAX_CLASSES}, "
            f"got {wrong}"
        )
    return _labelled(images, labels.astype(np.int64))


def _labelled(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> LabelledImages:
    return LabelledImages(
        torch.from_numpy(np.ascontiguousarray(images)),
        torch.from_numpy(np.ascontiguousarray(labels)),
    )
