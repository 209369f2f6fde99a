"""Folders of real JPEGs under the published names: crops of scikit-learn's two photographs."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images


@functools.cache
def _photographs():
    return load_sample_images().images


def crop(number: int, *, height: int = 30, width: int = 40):
    """One of many different pieces, uint8 (height, width, 3)."""
    rng = np.random.default_rng(number)
    image = _photographs()[number % 2]
    top = rng.integers(image.shape[0] - height)
    left = rng.integers(image.shape[1] - width)
    return image[top : top + height, left : left + width].copy()


def write_photos(
    root: Path, counts: Sequence[int], *, tests: int = 1, height: int = 30, width: int = 40
) -> Path:
    """Write so many training photos of each class, and their lists, as ImageNet-LT has them."""
    number = 0
    for split, of_class in (("train", counts), ("test", (tests,) * len(counts))):
        lines = []
        for label, count in enumerate(of_class):
            (root / split / f"n{label:04d}").mkdir(parents=True, exist_ok=True)
            for k in range(count):
                path = f"{split}/n{label:04d}/{k}.JPEG"
                piece = crop(number, height=height, width=width)
                Image.fromarray(piece).save(root / path, "JPEG")
                lines.append(f"{path} {label}\n")
                number += 1
        (root / f"ImageNet_LT_{split}.txt").write_text("".join(lines))
    return root
