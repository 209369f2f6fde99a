"""Test accuracies of the bundled ResNet-32 beside the published ones.

``python docs/study/accuracy.py TRAIN.npz TEST.npz`` writes ``r32-accuracy.json`` beside this file,
in a minute and a half on one core.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from checkpoints import load_checkpoint
from checkpoints.analysis.analyze import test_accuracy
from checkpoints.data import DataRequest, ImageData, head_mid_tail, load_data
from checkpoints.studies.reproduction.description import load_reproduction
from spectra.results.plain import to_plain
from spectra.system.files.writing import write_json

STORED = Path(__file__).parent / "r32-accuracy.json"
NETWORKS = tuple((recipe, epoch) for recipe in ("ce-drw", "ce-drw-sam") for epoch in (160, 200))
GROUPS = ("head", "mid", "tail")


@dataclass(frozen=True)
class NetworkAccuracy:
    """How many test images a network gets right, in per cent.

    Attributes:
        recipe: it was trained by.
        epoch: of its training.
        overall: of all test images.
        head: mean over the head classes; mid and tail in the same way.
        mid: see head.
        tail: see head.
        by_class: of each class.
        published: the same quantities of the paper, means over its seeds; empty before the end.
    """

    recipe: str
    epoch: int
    overall: float
    head: float
    mid: float
    tail: float
    by_class: tuple[float, ...]
    published: dict[str, float]


def measured(recipe: str, epoch: int, data: ImageData) -> NetworkAccuracy:
    """Return the accuracies of a bundled network on the test images of ``data``."""
    checkpoint = load_checkpoint(f"bundled:cifar10-lt/{recipe}@{epoch}")
    found = test_accuracy(checkpoint, data, data.normalisation, device="cpu")
    if found is None:
        raise SystemExit("test images are needed: TRAIN.npz TEST.npz")
    groups = head_mid_tail(data.class_counts)
    by_group = {name: _percent(found.group_accuracy(groups[name])) for name in GROUPS}
    table = load_reproduction("cifar10-lt-table", "full").published[recipe]
    published = {name: value[0] for name, value in table.items() if isinstance(value, list)}
    return NetworkAccuracy(
        recipe=recipe,
        epoch=epoch,
        overall=_percent(found.overall),
        **by_group,
        by_class=tuple(map(_percent, found.accuracy)),
        published=published if epoch == 200 else {},
    )


def _percent(rate: float | None) -> float:
    """Return a rate in per cent; two decimals say all of 10,000 images."""
    if rate is None:
        raise SystemExit("test images of all classes are needed")
    return round(100 * rate, 2)


if __name__ == "__main__":
    train, test = sys.argv[1:]
    images = load_data(DataRequest(f"npz:{train},{test}", profile="none"))
    networks = [measured(recipe, epoch, images) for recipe, epoch in NETWORKS]
    write_json(STORED, {"test_images": len(images.test or ()), "networks": to_plain(networks)})
    sys.stdout.write(f"{STORED}\n")
