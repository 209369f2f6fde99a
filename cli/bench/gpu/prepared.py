"""What is made on a CPU beforehand: images, a network, float64 references."""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from checkpoints import Checkpoint, ImageData, load_checkpoint, save_native
from checkpoints.analysis.data_of import data_for
from checkpoints.data.dataset import LabelledImages, Normalisation
from cli.bench.gpu.images import read_images, write_images
from cli.bench.gpu.references import (
    Extremes,
    loss_trace,
    reference_extremes,
    reference_subject,
    reference_vector,
    relative_difference,
    subject_name,
    trace_data,
)
from cli.bench.gpu.request import CHECKPOINT, FULL, Sizes
from cli.bench.machine import machine_facts
from spectra.errors import InputError
from spectra.system.files import write_atomically, write_json

SCHEMA = 1
INDEX = "prepared.json"
WEIGHTS, PRODUCTS, LABELS = "checkpoint.safetensors", "products.safetensors", "labels.npz"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """What a prepared folder holds.

    Attributes:
        folder: where.
        checkpoint: the network of the references.
        data: the images that they are over, test images too where they were given.
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
    products: dict[str, Tensor]
    extremes: dict[str, Extremes]
    traces: dict[str, tuple[float, ...]]
    trace_noise: dict[str, float]
    identity: dict[str, Any]


def prepare(
    folder: Path,
    *,
    source: str | None = None,
    checkpoint: str = CHECKPOINT,
    sizes: Sizes = FULL,
    data: ImageData | None = None,
    network: Checkpoint | None = None,
    say: Say | None = None,
) -> Path:
    """Write the images and the float64 references that a GPU is measured against.

    Cost: on one core some six minutes at full size, most of them float64 trainings.

    Args:
        folder: where everything goes.
        source: of the images, as in ``--data``; None: as the checkpoint says.
        checkpoint: whose products and extremes.
        sizes: which subjects and trainings.
        data: already read data, in place of ``source``.
        network: an already read checkpoint, in place of ``checkpoint``.
        say: called with a line on what is being done.

    Returns:
        The folder.

    Raises:
        InputError: no such data or checkpoint, or they do not fit each other.
    """
    say = say or _silent
    network = network or load_checkpoint(checkpoint)
    if data is None:
        data, notes = data_for(network, source)
        for note in notes:
            say(note)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)  # the last file written makes the folder whole
    say(f"images of {data.name}")
    files = {"train": write_images(folder, "train", data.train.images)}
    labels = {"train": data.train.labels.numpy()}
    if data.test is not None:
        files["test"] = write_images(folder, "test", data.test.images)
        labels["test"] = data.test.labels.numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **labels)  # type: ignore[arg-type]
    write_atomically(folder / LABELS, buffer.getvalue())
    save_native(folder / WEIGHTS, network)
    products, extremes, seconds = {}, {}, {}
    for label, limit in sizes.subjects:
        start = time.perf_counter()
        subject = reference_subject(network, data, label, limit, dtype=torch.float32, device="cpu")
        name = subject.name
        say(f"float64 product and extremes of {name}")
        op = subject.operator()
        double = op.in_float64()
        products[name] = double.matvec(reference_vector(double, name)).float()
        extremes[name] = asdict(reference_extremes(op, name))
        seconds[name] = time.perf_counter() - start
    stored = safetensors.torch.save(products)
    write_atomically(folder / PRODUCTS, stored)
    traces = {}
    few = trace_data(data, sizes.trace_per_class)
    for recipe in sizes.recipes:
        say(f"float64 training of {recipe}, {sizes.trace_epochs} epochs of {len(few.train)} images")
        exact = loss_trace(recipe, few, sizes, dtype=torch.float64, device="cpu")
        single = loss_trace(recipe, few, sizes, dtype=torch.float32, device="cpu")
        traces[recipe] = {
            "float64": exact.losses,
            "float32": single.losses,
            "difference": relative_difference(single.losses, exact.losses),
        }
        seconds[recipe] = sum(exact.seconds) + sum(single.seconds)
    write_json(
        folder / INDEX,
        {
            "schema": SCHEMA,
            "data": {
                "name": data.name,
                "num_classes": data.num_classes,
                "normalisation": data.normalisation.to_dict(),
                "description": data.description,
                "digest": data.digest(),
                "files": files,
                "shapes": {split: list(data.split(split).images.shape) for split in files},
            },
            "checkpoint": {"name": network.name, "digest": network.digest()},
            "products": hashlib.sha256(stored).hexdigest(),
            "sizes": sizes.references,
            "extremes": extremes,
            "traces": traces,
            "seconds": seconds,
            "machine": machine_facts("cpu"),
        },
    )
    return folder


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
    """Read what :func:`prepare` wrote.

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
        products,
        {name: Extremes(**found) for name, found in index["extremes"].items()},
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


def subjects(prepared: Prepared) -> list[tuple[str, int, int]]:
    """Return (name, class, images) of the subjects that references were made of."""
    counts = prepared.data.class_counts
    found = []
    for label, limit in prepared.identity["sizes"]["subjects"]:
        n = min(limit, counts[label])
        found.append((subject_name(label, n), label, n))
    return found


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


def _silent(_: str) -> None:
    pass
