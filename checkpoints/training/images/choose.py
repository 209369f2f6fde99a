"""Which way the images of a training are made, and those that it is evaluated on."""

import torch
from torch import Tensor

from checkpoints.data.dataset import ImageData
from checkpoints.data.photos.cached import lazily_decoded
from checkpoints.data.photos.photos import Photos
from checkpoints.data.photos.workers import Workers
from checkpoints.recipes.recipe import Recipe
from checkpoints.training.images.in_files import ImagesInFiles
from checkpoints.training.images.in_memory import ImagesInMemory
from checkpoints.training.images.interface import TrainingImages
from spectra.objective.samples.input_tree import Samples

TestImages = tuple[Samples, Tensor]


def images_of_training(
    data: ImageData, recipe: Recipe, device: torch.device
) -> tuple[TrainingImages, TestImages | None]:
    """Return the training images of ``data``, and its test images, normalised, with labels.

    Raises:
        InputError: the inputs are no images of 8-bit pixels.
    """
    train, test, normalisation = data.train, data.test, data.normalisation
    if not isinstance(train, Photos):
        in_memory = ImagesInMemory(
            train.images.to(device),
            normalisation,
            padding=recipe.augment_crop,
            flip=recipe.augment_flip,
        )
        if test is None:
            return in_memory, None
        return in_memory, (normalisation(test.images.to(device)), test.labels.to(device))
    workers = Workers(pinned=device.type == "cuda")
    in_files = ImagesInFiles(
        train, normalisation, flip=recipe.augment_flip, device=device, workers=workers
    )
    if not isinstance(test, Photos):
        return in_files, None
    tested = lazily_decoded(test, normalisation, device, workers=workers)
    return in_files, (tested, test.labels.to(device))
