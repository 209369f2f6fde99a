"""The official "python version" files of CIFAR-10 and CIFAR-100."""

import hashlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from checkpoints.data.dataset import LabelledImages
from spectra.errors import InputError
from spectra.system.files.reading import read_bytes

FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}

DIGESTS: dict[str, dict[str, str]] = {
    "cifar10": {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    "cifar100": {
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
}
"""MD5 of each file that is read, the test set last; source: torchvision.datasets.cifar."""

_LARGEST = 2**28  # bytes; the largest of the official files has 156 million
_LABELS = {"cifar10": ("labels", 10), "cifar100": ("fine_labels", 100)}

# The function that numpy's arrays name when they are pickled, wherever this numpy keeps it.
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


def read_cifar(
    folder: Path, name: str, *, digests: Mapping[str, str] | None = None
) -> tuple[LabelledImages, LabelledImages]:
    """Read the training and test images, in official order; CIFAR-100 with its fine labels.

    Args:
        folder: ``cifar-10-batches-py`` or ``cifar-100-python``, or the folder that holds it.
        name: ``cifar10`` or ``cifar100``.
        digests: MD5 of each file to read, training files in order and the test file last; None:
            the official ones.

    Returns:
        The training set (batches 1 to 5 joined for CIFAR-10) and the test set.

    Raises:
        InputError: a file is missing, is not the official one, or does not hold CIFAR images.
    """
    official = official_digests(name)
    expected = official if digests is None else digests
    place = find_folder(folder, name)
    key, num_classes = _LABELS[name]
    parts = []
    for file, digest in expected.items():
        content = _verified(place / file, digest, name)
        parts.append(_images(place / file, _load(place / file, content), key, num_classes))
    *train, test = parts
    joined = LabelledImages(
        torch.cat([part.images for part in train]), torch.cat([part.labels for part in train])
    )
    return joined, test


def official_digests(name: str) -> Mapping[str, str]:
    """Return the MD5 of each official file.

    Raises:
        InputError: the name is not ``cifar10`` or ``cifar100``.
    """
    if name not in DIGESTS:
        raise InputError(f"data must be one of {', '.join(DIGESTS)}, got {name!r}")
    return DIGESTS[name]


def find_folder(folder: Path, name: str) -> Path:
    """Return the folder of the batches: ``folder`` itself or the official name inside it."""
    inner = folder / FOLDERS[name]
    return inner if inner.is_dir() else folder


def damaged_files(place: Path, digests: Mapping[str, str]) -> list[str]:
    """Return the files of ``digests`` that ``place`` lacks or holds with other content."""
    return [
        file
        for file, digest in digests.items()
        if not (place / file).is_file()
        or not _may_be_official(place / file)
        or _md5_of(place / file) != digest
    ]


def _may_be_official(path: Path) -> bool:
    """Say whether a file is not larger than any official one."""
    return not path.is_file() or path.stat().st_size <= _LARGEST


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:  # piece by piece: it may be of any length
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _verified(path: Path, digest: str, name: str) -> bytes:
    fetch = f"'spectra data fetch {name}' downloads it"
    try:
        if not _may_be_official(path):
            raise InputError(f"{path} is larger than the official file")
        content = read_bytes(path, "data_file")
    except InputError as error:
        raise InputError(f"{name}: {error}; {fetch}") from None
    if _md5(content) != digest:
        raise InputError(
            f"{path} is not the official file: expected MD5 {digest}, got {_md5(content)}; "
            f"{fetch} again"
        )
    return content


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuild plain values and numpy arrays, and refuse every other global."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, and only numpy arrays are admitted"
            ) from None


def _load(path: Path, content: bytes) -> dict[Any, Any]:
    try:
        # The files were written by Python 2, whose strings are bytes.
        batch = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError(f"refused to read {path} as a CIFAR batch: {error}") from None
    if not isinstance(batch, dict):
        raise InputError(f"{path} should hold a dictionary, got {type(batch).__name__}")
    return batch


def _images(path: Path, batch: dict[Any, Any], key: str, num_classes: int) -> LabelledImages:
    if "data" not in batch or key not in batch:
        raise InputError(
            f"{path} should hold data and {key}, got {', '.join(sorted(map(str, batch)))}; "
            "is it of the other CIFAR?"
        )
    data, labels = batch["data"], batch[key]
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or data.ndim != 2
        or data.shape[1] != 3072
    ):
        got = getattr(data, "dtype", type(data).__name__)
        raise InputError(
            f"{path}: data should be uint8 of shape (n, 3072), got {got} of shape {np.shape(data)}"
        )
    if (
        not isinstance(labels, list)
        or len(labels) != len(data)
        or not all(type(c) is int and 0 <= c < num_classes for c in labels)
    ):
        raise InputError(
            f"{path}: {key} should be a list of {len(data)} integers from 0 to {num_classes - 1}"
        )
    pixels: npt.NDArray[np.uint8] = np.array(data).reshape(-1, 3, 32, 32)
    return LabelledImages(torch.from_numpy(pixels), torch.tensor(labels, dtype=torch.int64))
