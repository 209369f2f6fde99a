"""A folder of what was made on a CPU beforehand: images, a network, float64 references."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from checkpoints import Checkpoint, ImageData, load_checkpoint
from checkpoints.data.dataset import LabelledImages, Normalisation
from cli.bench.gpu_references.mosaics import read_images
from cli.bench.gpu_references.sizes import Sizes
from cli.bench.gpu_references.subjects import ReferenceExtremes, Subject
from spectra.errors import InputError

SCHEMA = 1
INDEX = "prepared.json"
WEIGHTS, PRODUCTS, LABELS = "checkpoint.safetensors", "products.safetensors", "labels.npz"


@dataclass(frozen=True)
class Prepared:
    """What a prepared folder holds.

    Attributes:
        folder: where.
        checkpoint: the network of the references.
        data: the images that they are over, test images too where they were given.
        subjects: what products and extremes are of.
        products: float64 product of each subject with its vector, (P,), rounded to float32 for
            storage: a relative error of at most 6e-8.
        extremes: of each subject.
        traces: losses of each recipe's first epochs, in float64.
        trace_noise: how far the CPU's own float32 trace lies from it, by recipe.
        identity: digests of network and images, and what references were made of.
    """

    folder: Path
    checkpoint: Checkpoint
    data: ImageData
    subjects: tuple[Subject, ...]
    products: dict[str, Tensor]
    extremes: dict[str, ReferenceExtremes]
    traces: dict[str, tuple[float, ...]]
    trace_noise: dict[str, float]
    identity: dict[str, Any]


def read_data(folder: Path) -> ImageData:
    """Return the images of a prepared folder, without references.

    The description is that of the data that they were made from: a training on them can go on
    elsewhere, on the original files.

    Raises:
        InputError: the folder is not whole, or the images are not those that were prepared.
    """
    facts = _index(folder)["data"]
    try:
        with np.load(folder / LABELS, allow_pickle=False) as file:
            labels = {split: torch.from_numpy(file[split]) for split in facts["files"]}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {folder / LABELS}: {error}; prepare again") from error
    splits = {
        split: LabelledImages(
            read_images(folder, names, shape=tuple(facts["shapes"][split])), labels[split]
        )
        for split, names in facts["files"].items()
    }
    data = ImageData(
        name=facts["name"],
        train=splits["train"],
        test=splits.get("test"),
        num_classes=facts["num_classes"],
        normalisation=Normalisation.from_dict(facts["normalisation"]),
        description=facts["description"],
    )
    if data.digest() != facts["digest"]:
        raise InputError(f"the images in {folder} are not those that were prepared; prepare again")
    return data


def read_prepared(folder: Path, sizes: Sizes) -> Prepared:
    """Read what :func:`cli.bench.gpu_references.make_references.prepare` wrote.

    Raises:
        InputError: the folder is not whole, is of other ``sizes``, or something in it has changed.
    """
    index = _index(folder)
    if index["sizes"] != sizes.references:
        raise InputError(
            f"the references in {folder} are of other subjects or trainings than this version "
            "measures; prepare again"
        )
    data = read_data(folder)
    checkpoint = load_checkpoint(folder / WEIGHTS)
    if checkpoint.digest() != index["checkpoint"]["digest"]:
        raise InputError(f"the network in {folder} is not the one prepared; prepare again")
    try:
        stored = (folder / PRODUCTS).read_bytes()
        products = safetensors.torch.load(stored)
    except (SafetensorError, OSError) as error:
        raise InputError(f"cannot read {folder / PRODUCTS}: {error}; prepare again") from error
    if hashlib.sha256(stored).hexdigest() != index["products"]:
        raise InputError(f"the products in {folder} are not those prepared; prepare again")
    return Prepared(
        folder,
        checkpoint,
        data,
        tuple(
            Subject(label, min(limit, data.class_counts[label]))
            for label, limit in index["sizes"]["subjects"]
        ),
        products,
        {name: ReferenceExtremes(**found) for name, found in index["extremes"].items()},
        {name: tuple(found["float64"]) for name, found in index["traces"].items()},
        {name: found["difference"] for name, found in index["traces"].items()},
        {
            "data": index["data"]["digest"],
            "checkpoint": index["checkpoint"]["digest"],
            "products": index["products"],
            "extremes": index["extremes"],
            "traces": index["traces"],
            "sizes": index["sizes"],
        },
    )


def _index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} holds no prepared references; make them with "
            "'spectra bench --suite gpu --prepare --data npz:TRAIN.npz,TEST.npz -o FOLDER'"
        ) from error
    schema = index.get("schema") if isinstance(index, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path} has schema {schema}, this version reads {SCHEMA}; prepare again")
    missing = sorted({"data", "checkpoint", "products", "sizes", "extremes", "traces"} - set(index))
    if missing:
        raise InputError(f"{path} says nothing of {', '.join(missing)}; prepare again")
    return dict(index)
