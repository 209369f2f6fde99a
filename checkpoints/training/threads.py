"""How many threads a network is worth."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from checkpoints.data import ImageData

# Ours, measured on two cores: on 8x8 images a second thread gains nothing on an idle machine and
# loses a factor of 2 to 100 on a busy one, where threads wait for each other at every layer.
SMALL_IMAGE = 16


def suitable_threads(data: ImageData) -> AbstractContextManager[None]:
    """Run the block on one thread where the images are small; put torch's setting back."""
    return one_thread(worth_one_thread(data))


def worth_one_thread(data: ImageData) -> bool:
    """Say whether the images are so small that a second thread gains nothing."""
    return (data.train.shape or (1,))[-1] < SMALL_IMAGE


@contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """Run the block on one thread where that is wanted; put torch's setting back."""
    before = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
