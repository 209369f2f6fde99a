"""Thirty random images of three classes, as a caller may have them."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from spectra import make_generator

IMAGES = torch.randn(30, 4, generator=make_generator(0, "images"))
LABELS = torch.arange(30) % 3
LABELS[29] = 0  # class 0: 11 images, 1: 10, 2: 9


class Compiled(nn.Module):
    """What torch.compile makes of a module: it is inside, under a name of torch's own."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._orig_mod = module


class Items(Dataset):
    """Items of (image, label), counted as they are read."""

    def __init__(self, images=IMAGES, labels=LABELS) -> None:
        self.images, self.labels = images, labels
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i):
        self.read.append(i)
        return self.images[i], int(self.labels[i])


class WithTargets(Items):
    """Items whose labels are known beforehand, as those of torchvision's data sets are."""

    def __init__(self, images=IMAGES, labels=LABELS) -> None:
        super().__init__(images, labels)
        self.targets = labels.tolist()


class Augmented(WithTargets):
    """Items that are drawn anew each time."""

    def __getitem__(self, i):
        image, label = super().__getitem__(i)
        return image + torch.randn(4), label


class Stream(IterableDataset):
    """Items without positions."""

    def __iter__(self):
        return iter(zip(IMAGES, LABELS.tolist(), strict=True))


SAME_ORDER = {
    "tensors": (IMAGES, LABELS),
    "arrays": (IMAGES.numpy(), LABELS.numpy()),
    "a list of labels": [IMAGES, LABELS.tolist()],
    "read-only arrays": (np.broadcast_to(IMAGES.numpy(), (30, 4)), LABELS.numpy()),
    "a TensorDataset": TensorDataset(IMAGES, LABELS),
    "items": Items(),
    "items with targets": WithTargets(),
    "a list of items": list(zip(IMAGES, LABELS.tolist(), strict=True)),
    "a loader": DataLoader(Items(), batch_size=7),
    "a shuffling loader": DataLoader(Items(), batch_size=7, shuffle=True, drop_last=True),
    "a stream": Stream(),
    "a loader of a stream": DataLoader(Stream(), batch_size=7),
}
