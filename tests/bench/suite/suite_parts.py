"""What several tests of the suite for GPUs work with."""

from pathlib import Path

import torch

from cli.bench.gpu_ledger.ledger import Ledger
from cli.bench.gpu_ledger.step import Budget
from spectra import make_generator


def noise(n: int, channels: int, seed: int = 0, side: int = 32) -> torch.Tensor:
    generator = make_generator(seed, "mosaics")
    return torch.randint(0, 256, (n, channels, side, side), generator=generator, dtype=torch.uint8)


def ledger(folder: Path, *, seconds: float = 1e6, identity: str = "same", say=None) -> Ledger:
    return Ledger(
        folder,
        device="cpu",
        budget=Budget(seconds),
        identity={"of": identity},
        say=say or (lambda line: None),
    )
