"""Where the scenario plays: a pretended card or a real one, and what all parts share."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import spectra
from checkpoints import Checkpoint, ImageData, load_checkpoint, load_data
from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.models import Architecture, build_model, initialise
from pretended_gpu.card import Card, Count

Facts = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One run of the scenario.

    Attributes:
        card: the pretended cards; None on a real one, where nothing is counted.
        folder: for files.
    """

    card: Card | None
    folder: Path

    @property
    def device(self) -> str:
        """The card as ``--device auto`` names it."""
        return "cuda"

    @property
    def second(self) -> str:
        """A card that is not the current one, where there is one."""
        return f"cuda:{min(1, torch.cuda.device_count() - 1)}"

    @contextmanager
    def counted(self, *, places: bool = False) -> Iterator[Count]:
        """Count launches and waits of the block; on a real card the count stays empty."""
        if self.card is None:
            yield Count()
            return
        with self.card.counted(places=places) as count:
            yield count


def resnet(depth: int) -> nn.Module:
    """Return a network for CIFAR with random weights."""
    model = build_model(Architecture(f"resnet{depth}", 10, 3, 32))
    initialise(model, spectra.make_generator(0, "pretended GPU"))
    return model


def random_images(n: int) -> tuple[Tensor, Tensor]:
    """Return normalised images (n, 3, 32, 32) and labels (n,)."""
    generator = spectra.make_generator(0, "images of the pretended GPU")
    return torch.randn(n, 3, 32, 32, generator=generator), torch.arange(n) % 10


@functools.cache
def digits() -> tuple[Checkpoint, ImageData]:
    """Return a bundled network and its data."""
    return load_checkpoint("bundled:digits/ce-drw"), load_data()


def digits_operator(label: int, device: str) -> spectra.HessianOperator:
    """Return the Hessian of a class of the digits, by a network of known layers."""
    losses = Losses.of(*digits(), AnalysisRequest(device=device))
    return losses.prepare(str(label), (label,), check=False).op


def difference(found: Tensor, wanted: Tensor) -> float:
    """Return ‖found - wanted‖ / ‖wanted‖ of tensors wherever they are."""
    found, wanted = found.detach().double().cpu(), wanted.detach().double().cpu()
    return float((found - wanted).norm() / wanted.norm())


def relative(found: float, wanted: float) -> float:
    """Return |found - wanted| / |wanted|."""
    return abs(found - wanted) / max(abs(wanted), 1e-300)
