"""Data by name: digits, CIFAR, npz files, folders of images, or code of the user's own."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from checkpoints.data.cifar import read_cifar
from checkpoints.data.dataset import (
    AS_GIVEN,
    ImageData,
    Labelled,
    LabelledImages,
    LabelledInputs,
    Normalisation,
)
from checkpoints.data.image_folders import read_folder
from checkpoints.data.longtail import class_counts, select_long_tail
from checkpoints.data.normalisations import CIFAR, IMAGENET, INATURALIST18, from_images
from checkpoints.data.npz_files import read_npz
from checkpoints.data.own_data import read_own
from checkpoints.data.photos.named_lists import PHOTO_SOURCES, read_named_lists
from checkpoints.data.photos.photos import Photos
from checkpoints.own_code import NoSuchCodeError
from spectra.errors import InputError
from spectra.results.provenance import PlainValue
from spectra.system.files.limits import check_limit
from spectra.system.foreign_text import check_encodable

DATA_VARIABLE = "SPECTRA_DATA"
DIGITS_TEST_PER_CLASS = 50
# The kinds of source that need no place: they are installed, or lie in the folder that
# SPECTRA_DATA names. A checkpoint may ask for them.
WITHOUT_PLACE = ("digits", "cifar10", "cifar100")
# Those that are read. Any other is code of the user's own, which runs.
READ = (*WITHOUT_PLACE, "npz", "folder", *PHOTO_SOURCES)
EXPECTED = (
    "digits, cifar10[:FOLDER], cifar100[:FOLDER], npz:TRAIN.npz[,TEST.npz], folder:PATH[,SIZE], "
    "imagenet-lt:DIR, inaturalist18:DIR, list:TRAIN.txt,TEST.txt,ROOT or FILE.py:FUNCTION of your "
    "own"
)
_FAMILY_OF_CLASSES = {100: "cifar100", 1000: "imagenet-lt", 8142: "inaturalist18"}


@dataclass(frozen=True)
class DataRequest:
    """What the user asked for.

    Attributes:
        source: ``digits``, ``cifar10[:FOLDER]``, ``cifar100[:FOLDER]``, ``npz:TRAIN[,TEST]``,
            ``folder:PATH[,SIZE]``, ``imagenet-lt:DIR[,SIZE][,sorted]``, ``inaturalist18:DIR...``,
            ``list:TRAIN.txt,TEST.txt,ROOT[,SIZE]``, or ``FILE.py:FUNCTION`` of the user's own,
            which is run.
        profile: ``exp``, ``step`` or ``none``; None: ``exp`` for digits and CIFAR, else ``none``.
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
    check_encodable("the source of data", request.source)
    if request.n_max is not None and request.n_max < 1:
        raise InputError(f"n_max must be at least 1, got {request.n_max}")
    if request.selection_seed < 0:
        raise InputError(f"selection_seed must not be negative, got {request.selection_seed}")
    found = _read(request.source)
    train, test, kind = found.train, found.test, found.kind
    num_classes = int(max(train.labels.max(), test.labels.max() if test else 0)) + 1
    check_limit("classes", num_classes, f"{found.name}: the largest label, plus one")
    as_it_is = kind not in ("digits", "cifar10", "cifar100")
    profile = request.profile or ("none" if as_it_is else "exp")
    factor = request.imbalance_factor
    if factor is None:
        factor = 0.05 if kind == "digits" else 0.01
    description: dict[str, PlainValue] = {
        "source": kind,
        "profile": profile,
        "selection_seed": request.selection_seed,
    }
    if not (as_it_is and profile == "none"):
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
        raise InputError(f"{kind} data is taken as it is; give --profile to cut it to a long tail")
    if isinstance(train, Photos):
        description |= {"size": train.size}
    if kind == "npz":
        description |= {"test_name": found.test_name}
    return ImageData(
        name=found.name,
        train=train,
        test=test,
        num_classes=num_classes,
        normalisation=_default_normalisation(train, kind),
        description=description | {"name": found.name},
        notes=(*found.notes, *_about_labels(found.name, train, test)),
    )


@dataclass(frozen=True)
class _Source:
    """What a source holds."""

    kind: str
    name: str
    train: Labelled
    test: Labelled | None
    notes: tuple[str, ...] = ()
    test_name: str | None = None


def _read(source: str) -> _Source:
    kind, _, place = source.partition(":")
    train: Labelled
    test: Labelled | None
    if kind == "digits":
        if place:
            raise InputError(f"digits take no folder, got {source!r}")
        train, test = _digits()
        return _Source(kind, kind, train, test)
    if kind in ("cifar10", "cifar100"):
        train, test = read_cifar(_cifar_folder(kind, place), kind)
        return _Source(kind, kind, train, test)
    if kind == "npz":
        train, test, notes = _npz(place)
        name, *more = [Path(part).stem for part in place.split(",") if part]
        return _Source(kind, name, train, test, notes, more[0] if more else None)
    if kind == "folder":
        train, test, notes = read_folder(place)
        return _Source(kind, Path(place.partition(",")[0]).resolve().name, train, test, notes)
    if kind in PHOTO_SOURCES:
        listed = read_named_lists(kind, place, beside=data_folder())
        return _Source(kind, listed.name, listed.train, listed.test, listed.notes)
    if not kind or not place:
        raise InputError(f"unknown data source {source!r}; expected {EXPECTED}")
    try:
        name, train, test = read_own(source)
    except NoSuchCodeError as error:
        raise InputError(f"unknown data source {source!r}; expected {EXPECTED}: {error}") from None
    return _Source("own code", name, train, test)


def _default_normalisation(train: Labelled, kind: str) -> Normalisation:
    """Return what images of this kind go through where nobody says otherwise."""
    if isinstance(train, LabelledInputs):
        return AS_GIVEN
    if isinstance(train, Photos):
        return INATURALIST18 if kind == "inaturalist18" else IMAGENET
    if kind != "digits" and train.shape[0] == 3:
        return CIFAR
    return from_images(train.images, 16.0 if kind == "digits" else 255.0)


def _about_labels(name: str, train: Labelled, test: Labelled | None) -> tuple[str, ...]:
    lowest = min(int(part.labels.min()) for part in (train, test) if part is not None)
    if lowest == 0:
        return ()
    return (
        f"labels of {name} start at {lowest}, and classes are counted from 0: if they are numbered "
        f"from {lowest}, subtract {lowest}",
    )


def recipe_family(data: ImageData) -> str:
    """Return the family of hyperparameters that fits the data: by name, size and classes.

    Data of 1,000 classes count as ImageNet-LT, of 8,142 as iNaturalist 2018.
    """
    source = str(data.description["source"])
    if source in _FAMILY_OF_CLASSES.values():
        return source
    if source == "digits" or data.train.shape[-1] < 16:
        return "digits"
    return _FAMILY_OF_CLASSES.get(data.num_classes, "cifar10")


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


def _npz(place: str) -> tuple[Labelled, Labelled | None, tuple[str, ...]]:
    parts = [Path(part).expanduser() for part in place.split(",") if part]
    if not 1 <= len(parts) <= 2:
        raise InputError(f"expected npz:TRAIN.npz[,TEST.npz], got {('npz:' + place)!r}")
    read = [read_npz(_existing(part)) for part in parts]
    notes = tuple(note for _, told in read for note in told)
    return read[0][0], read[1][0] if len(read) == 2 else None, notes


def _existing(path: Path) -> Path:
    folder = data_folder()
    if not path.exists() and folder is not None and (folder / path).exists():
        return folder / path
    return path


def _labelled(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> LabelledImages:
    return LabelledImages(
        torch.from_numpy(np.ascontiguousarray(images)),
        torch.from_numpy(np.ascontiguousarray(labels)),
    )
