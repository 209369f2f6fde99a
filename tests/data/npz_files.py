"""Files of random images and labels, as users keep them."""

from pathlib import Path

import numpy as np
import torch

from spectra import make_generator


def pictures(n: int, *, channels: int = 3, size: int = 4, seed: int = 0) -> np.ndarray:
    generator = make_generator(seed, "pictures")
    shape = (n, channels, size, size)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).numpy()


def write_npz(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return f"npz:{path}"


def source_of(path: Path, n: int = 6, *, channels: int = 3) -> str:
    return write_npz(path, images=pictures(n, channels=channels), labels=np.arange(n) % 2)
