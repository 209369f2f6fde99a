"""A training of seconds: 17 random images in three classes, five epochs."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from checkpoints import Architecture, ImageData, Recipe, TrainingJob, get_recipe
from checkpoints.data import LabelledImages, Normalisation
from spectra import make_generator

COUNTS = (9, 5, 3)
SCALE = Normalisation("custom", (0.5,), (0.25,))


def images_of(counts: tuple[int, ...], seed: int, size: int = 4) -> LabelledImages:
    generator = make_generator(seed, "training images")
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    shape = (len(labels), 1, size, size)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return LabelledImages(images, labels)


def tiny_data(counts: tuple[int, ...] = COUNTS, *, test: bool = True) -> ImageData:
    held_out = images_of((2,) * len(counts), 1) if test else None
    description = {"source": "npz", "name": "tiny", "test_name": None}
    return ImageData("tiny", images_of(counts, 0), held_out, len(counts), SCALE, description)


def batch_of(data: ImageData) -> tuple[Tensor, Tensor]:
    return SCALE(data.train.images), data.train.labels


def tiny_recipe(name: str = "ce", **fields: object) -> Recipe:
    small = {"epochs": 5, "batch_size": 8, "augment_crop": 1}
    return get_recipe(name).with_overrides({**small, **fields})


def tiny_job(folder: Path, recipe: Recipe | None = None, **fields) -> TrainingJob:
    recipe = recipe or tiny_recipe()
    defaults = {
        "recipe": recipe,
        "data": tiny_data(),
        "architecture": Architecture("digits-resnet", 3, 1, 4, recipe.head),
        "seed": 0,
        "folder": folder,
    }
    return TrainingJob(**{**defaults, **fields})


def one_step(**fields: object) -> Recipe:
    """One epoch of one step on all images as they are, without momentum or weight decay."""
    plain = {"epochs": 1, "batch_size": 100, "augment_crop": 0, "augment_flip": False}
    return tiny_recipe(**{**plain, "momentum": 0.0, "weight_decay": 0.0, **fields})


def digests(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


class Killed(Exception):  # noqa: N818
    pass


def kill_after(epoch: int):
    def on_progress(_: str, done: int, planned: int) -> None:
        if done == epoch:
            raise Killed

    return on_progress


VARIANTS = {
    "sgd-drw": tiny_recipe("ce-drw", augment_flip=True),
    "sam": tiny_recipe("ce-drw-sam", rho=0.1),
    "sam, first": tiny_recipe("ce-sam", sam_bn="first"),
    "asam": tiny_recipe(optimizer="asam", rho_schedule="0:0.5,0.6:1"),
    "resample": tiny_recipe(weighting="resample"),
    "ldam": tiny_recipe("ldam-drw"),
    "vs": tiny_recipe("vs"),
    "no momentum": tiny_recipe(momentum=0.0, lr_schedule="cosine"),
}
