"""Makes, on a CPU, what a GPU is measured against."""

import hashlib
import io
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from checkpoints import Checkpoint, ImageData, load_checkpoint, save_native
from checkpoints.analysis.data_of import data_for
from cli.bench.comparison.peer_libraries import PACKAGES
from cli.bench.gpu_references.loss_trace import loss_trace, relative_difference, trace_data
from cli.bench.gpu_references.mosaics import write_images
from cli.bench.gpu_references.prepared_folder import INDEX, LABELS, PRODUCTS, SCHEMA, WEIGHTS
from cli.bench.gpu_references.sizes import CHECKPOINT, FULL, Sizes
from cli.bench.gpu_references.subjects import (
    reference_extremes,
    reference_vector,
    reference_workload,
)
from cli.bench.machine import machine_facts
from spectra.system.files.writing import write_atomically, write_json


def prepare(
    folder: Path,
    *,
    source: str | None = None,
    checkpoint: str = CHECKPOINT,
    sizes: Sizes = FULL,
    data: ImageData | None = None,
    network: Checkpoint | None = None,
    say: Callable[[str], None] | None = None,
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
        workload = reference_workload(
            network, data, label, limit, dtype=torch.float32, device="cpu"
        )
        name = workload.name
        say(f"float64 product and extremes of {name}")
        op = workload.operator()
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
            "machine": asdict(machine_facts("cpu", PACKAGES)),
        },
    )
    return folder


def _silent(_: str) -> None:
    pass
