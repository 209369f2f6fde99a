"""Training on the card: what a step launches, that it is the CPU's, and that a run resumes."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from checkpoints import (
    Architecture,
    ImageData,
    TrainingJob,
    load_checkpoint,
    load_data,
    train,
)
from checkpoints.data import LabelledImages, Normalisation
from checkpoints.recipes.families import get_recipe
from checkpoints.training.evaluation import evaluate
from checkpoints.training.execution import Execution
from checkpoints.training.run import train_job
from pretended_gpu.stage import Facts, Stage, difference, digits, relative
from spectra import CrossEntropy, make_generator

BATCH = 4


def images_of(batches: int, *, size: int, channels: int) -> ImageData:
    """Return random images in two classes that fill so many batches, the first class the larger."""
    n = batches * BATCH
    generator = make_generator(0, "training images of the pretended GPU", n)
    images = torch.randint(
        0, 256, (n, channels, size, size), generator=generator, dtype=torch.uint8
    )
    labels = (torch.arange(n) % 4 == 3).long()
    split = LabelledImages(images, labels)
    normalisation = Normalisation("none", (0.0,) * channels, (1.0,) * channels)
    return ImageData("random", split, split, 2, normalisation, {"source": "random"})


def job(
    recipe: str, folder: Path, *, batches: int, epochs: int = 1, arch: str = "digits-resnet"
) -> TrainingJob:
    """Return a short training of a small network, or of a ResNet for CIFAR."""
    small = arch == "digits-resnet"
    size, channels = (8, 1) if small else (32, 3)
    described = get_recipe(recipe, "digits" if small else "cifar10").with_overrides(
        {"epochs": epochs, "batch_size": BATCH, "augment_crop": 1, "augment_flip": True}
    )
    return TrainingJob(
        recipe=described,
        data=images_of(batches, size=size, channels=channels),
        architecture=Architecture(arch, 2, channels, size, described.head),
        seed=0,
        folder=folder,
        keep_epochs=(epochs,),
    )


def recipe_step(stage: Stage, name: str) -> Facts:
    """Count a step of a recipe as the difference of two epochs, and compare with the CPU's."""
    counts = {}
    for turn, batches in enumerate((2, 4, 2, 4)):  # the first two fill what is kept between runs
        folder = stage.folder / f"{name}-{turn}"
        with stage.counted() as count:
            paths = train_job(job(name, folder, batches=batches), device=stage.device)
        counts[batches] = count
    wanted = train_job(job(name, stage.folder / f"{name}-cpu", batches=4))
    return {
        **_step(counts[2], counts[4], steps=2),
        "differs by": _weights_differ(paths[-1], wanted[-1]),
    }


EXECUTIONS = {
    "TF32": Execution(precision="tf32"),
    "bfloat16": Execution(precision="bfloat16"),
    "channels last": Execution(channels_last=True),
}


CAPTURED = ("ce-drw", "ce-drw-sam", "ce-drw-asam", "ldam-drw-sam", "vs")


def execution(stage: Stage, name: str) -> Facts:
    """Train an epoch, computed in another way than float32's plain one."""
    found = {}
    for place, device in (("card", stage.device), ("cpu", "cpu")):
        described = job("ce-drw-sam", stage.folder / f"{name}-{place}", batches=3)
        found[place] = train_job(replace(described, execution=EXECUTIONS[name]), device=device)[-1]
    return {"differs by": _weights_differ(found["card"], found["cpu"])}


def captured_steps(stage: Stage, name: str) -> Facts:
    """Train two epochs with steps that are recorded and replayed, and without."""
    plain = job(name, stage.folder / f"eager-{name}", batches=8, epochs=2)
    recorded = job(name, stage.folder / f"captured-{name}", batches=8, epochs=2)
    captured = replace(recorded, execution=Execution(captured=True))
    wanted = train_job(plain, device=stage.second)[-1]
    with stage.counted() as count:
        found = train_job(captured, device=stage.second)[-1]
    return {"replays": count.kernels["graph"], "differs by": _weights_differ(found, wanted)}


def resnet_steps(stage: Stage, name: str) -> Facts:
    """Count a step and an epoch's end of ResNet-32."""
    runs = {}
    for turn, (batches, epochs) in enumerate(((2, 1), (2, 1), (2, 2), (4, 1))):
        folder = stage.folder / f"resnet-{name}-{turn}"
        with stage.counted() as count:
            train_job(
                job(name, folder, batches=batches, epochs=epochs, arch="resnet32"),
                device=stage.device,
            )
        runs[batches, epochs] = count
    one = _step(runs[2, 1], runs[4, 1], steps=2)
    epoch = {
        key: runs[2, 2].facts()[key] - runs[2, 1].facts()[key] - 2 * one[key]
        for key in ("launches", "waits")
    }
    return {"step": one, "end of epoch": epoch}


def _step(few: object, many: object, *, steps: int) -> Facts:
    waits = many.waits - few.waits
    return {
        "launches": (many.launches - few.launches) / steps,
        "waits": (many.waits.total() - few.waits.total()) / steps,
        "kernels": {name: n / steps for name, n in (many.kernels - few.kernels).most_common(12)},
        "waits_at": [f"{n / steps:g} {kind} {at}" for (kind, at), n in waits.most_common(12)],
    }


def _weights_differ(one: Path, other: Path) -> float:
    found, wanted = (load_checkpoint(path).state for path in (one, other))
    return max(
        difference(found[key], wanted[key]) for key in wanted if wanted[key].is_floating_point()
    )


class KilledError(Exception):
    """A run that ends after an epoch."""


def resumption(stage: Stage, name: str) -> Facts:
    """Stop a run on the second card after an epoch, go on, and compare with one not stopped."""
    whole = train_job(
        job(name, stage.folder / f"whole-{name}", batches=3, epochs=3), device=stage.second
    )
    stopped = job(name, stage.folder / f"stopped-{name}", batches=3, epochs=3)

    def stop(_: str, epoch: int, epochs: int) -> None:
        if epoch == 1:
            raise KilledError

    with contextlib.suppress(KilledError):
        train_job(stopped, device=stage.second, on_progress=stop)
    with stage.counted() as count:
        resumed = train_job(stopped, device=stage.second, resume=True)
    return {
        "launches on the other card": count.cards[0] if stage.card else 0,
        "same bytes": whole[-1].read_bytes() == resumed[-1].read_bytes(),
        "differs by": _weights_differ(resumed[-1], whole[-1]),
    }


def evaluation(stage: Stage) -> Facts:
    """Evaluate a network on the card and on the CPU."""
    checkpoint, data = digits()
    images = data.normalisation(data.test.images)
    model, options = checkpoint.model(), {"num_classes": data.num_classes, "loss": CrossEntropy()}
    wanted = evaluate(model, images, data.test.labels, **options)
    there, labels = images.to(stage.device), data.test.labels.to(stage.device)
    moved = model.to(stage.device)
    with stage.counted() as count:
        found = evaluate(moved, there, labels, **options)
    return {
        **count.facts(),
        "differs by": max(relative(a, b) for a, b in zip(found.loss, wanted.loss, strict=True)),
        "same accuracy": found.accuracy == wanted.accuracy,
        "finite": math.isfinite(found.overall),
    }


def photos(stage: Stage) -> Facts:
    """Train on images that lie in files, on the card and on the CPU, and evaluate there."""
    root = stage.folder / "photos"
    root.mkdir()
    images = images_of(2, size=24, channels=3).train
    for i, image in enumerate(images.images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(root / f"{i}.png")
    listed = "".join(f"{i}.png {label}\n" for i, label in enumerate(images.labels.tolist()))
    (root / "list.txt").write_text(listed)
    data = load_data(f"list:{root}/list.txt,{root}/list.txt,{root},16")
    recipe = get_recipe("ce", "digits").with_overrides(
        {"epochs": 1, "batch_size": BATCH, "augment_crop": 0}
    )
    there, here = (
        train(recipe, data, arch="digits-resnet", device=device) for device in (stage.device, "cpu")
    )
    losses = [found.metrics["test"]["loss"] for found in (there, here)]
    return {
        "differs by": max(difference(there.state[k], w) for k, w in here.state.items() if w.ndim),
        "evaluation differs by": max(relative(a, b) for a, b in zip(*losses, strict=True)),
    }
