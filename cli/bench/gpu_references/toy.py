"""What a dry run works on: a few coloured images of ten classes, and a small network for them."""

import torch

from checkpoints import Architecture, Checkpoint, ImageData, build_model
from checkpoints.data.dataset import LabelledImages
from checkpoints.data.normalisations import CIFAR
from checkpoints.models import initialise
from spectra import make_generator

SIDE = 8
COUNTS = (20, 18, 16, 14, 13, 12, 11, 10, 9, 8)
TEST_PER_CLASS = 2


def toy_data() -> ImageData:
    """Return long-tailed images, each its class's pattern under noise; the same ones each time."""
    generator = make_generator(0, "gpu suite toy")
    patterns = torch.randint(0, 256, (len(COUNTS), 3, SIDE, SIDE), generator=generator)

    def split(counts: tuple[int, ...]) -> LabelledImages:
        labels = torch.arange(len(COUNTS)).repeat_interleave(torch.tensor(counts))
        noise = torch.randint(0, 256, (len(labels), 3, SIDE, SIDE), generator=generator)
        return LabelledImages(((patterns[labels] + noise) // 2).to(torch.uint8), labels)

    return ImageData(
        name="toy",
        train=split(COUNTS),
        test=split((TEST_PER_CLASS,) * len(COUNTS)),
        num_classes=len(COUNTS),
        normalisation=CIFAR,
        description={"source": "toy", "name": "toy"},
    )


def toy_checkpoint() -> Checkpoint:
    """Return a network with seeded weights."""
    architecture = Architecture("resnet8", len(COUNTS), 3, SIDE)
    with torch.random.fork_rng(devices=[]):  # torch's own initialisation draws numbers
        model = build_model(architecture)
    initialise(model, make_generator(0, "gpu suite toy network"))
    return Checkpoint(
        name="toy",
        state=model.state_dict(),
        architecture=architecture,
        normalisation=CIFAR,
        class_counts=COUNTS,
    )
