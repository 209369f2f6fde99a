"""Lists of images: a path and a label a line, or iNaturalist's JSON."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.system.files.limits import check_limit
from spectra.system.files.reading import read_bytes
from spectra.system.foreign_text import printable

_EXPECTED = "a path and a label a line, such as train/n01440764/n01440764_190.JPEG 0"
# A path that leaves the folder it is relative to: absolute, of a drive of Windows, or upwards.
_LEAVING = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|\x00")


class ListedImages(NamedTuple):
    """What a list names: paths, and labels int64 (n,)."""

    paths: tuple[str, ...]
    labels: Tensor


class _Image(msgspec.Struct):
    id: int
    file_name: str


class _Annotation(msgspec.Struct):
    image_id: int
    category_id: int


class _Coco(msgspec.Struct):
    """What is read of COCO's form, in which iNaturalist 2018 is published."""

    images: list[_Image]
    annotations: list[_Annotation]


def read_list(path: Path) -> ListedImages:
    """Read which images there are, and their labels.

    Args:
        path: a list of a path and a label a line, in UTF-8; or ``.json`` in COCO's form.

    Raises:
        InputError: it is not that, names no images, or one outside of the folder it is relative to.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a list of images: {_EXPECTED}")
    content = read_bytes(path, "image_list")
    pairs = _of_json(content, path) if path.suffix.lower() == ".json" else _of_text(content, path)
    paths, labels, largest = [], [], -1
    for place, image, label in pairs:
        if _LEAVING.search(image):
            raise InputError(
                f"{path}, {place}: {printable(image)} leads out of the folder of the images; "
                "expected a path relative to it, without .."
            )
        paths.append(image)
        labels.append(label)
        if label > largest:
            largest = label
            check_limit("classes", label + 1, f"{path}, {place}: label {label}, plus one")
    if not paths:
        raise InputError(f"{path} names no images; expected {_EXPECTED}")
    return ListedImages(tuple(paths), torch.tensor(labels, dtype=torch.int64))


def _of_text(content: bytes, path: Path) -> Iterator[tuple[str, str, int]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content.count(b"\n", 0, error.start)
        raise InputError(f"{path}, line {before + 1}: this is no text in UTF-8") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        image, *rest = line.rstrip().rsplit(maxsplit=1)  # which takes the CR of Windows, too
        label = rest[0] if rest else ""
        if not re.fullmatch(r"-?[0-9]+", label, re.ASCII):
            raise InputError(
                f"{path}, line {number}: {printable(line.strip())!r} ends in no label; expected "
                f"{_EXPECTED}"
            )
        if label.startswith("-"):
            raise InputError(f"{path}, line {number}: label {label} is negative; labels go from 0")
        yield f"line {number}", image, int(label[:20])


def _of_json(content: bytes, path: Path) -> Iterator[tuple[str, str, int]]:
    try:
        coco = msgspec.json.decode(content, type=_Coco)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no list of images in COCO's form: {error}") from error
    labels: dict[int, int] = {}
    for one in coco.annotations:
        if labels.setdefault(one.image_id, one.category_id) != one.category_id:
            raise InputError(f"{path}: image {one.image_id} has two labels")
        if one.category_id < 0:
            raise InputError(f"{path}: image {one.image_id} has the negative label "
                             f"{one.category_id}; labels go from 0")  # fmt: skip
    for image in coco.images:
        if image.id not in labels:
            raise InputError(
                f"{path}: image {image.id}, {printable(image.file_name)}, has no annotation, and "
                "so no label"
            )
        yield f"image {image.id}", image.file_name, labels[image.id]
