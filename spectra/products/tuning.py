"""How products are computed, apart from what they compute: layout, kernels, graphs, stacking."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from spectra.errors import InputError

LAYOUTS = ("channels-last", "contiguous")


@dataclass(frozen=True)
class Tuning:
    """Choices that change the speed of products and their rounding, nothing else.

    The defaults are what was measured on CPUs. The others are for GPUs and off until one has
    shown them right and faster: ``spectra bench --suite gpu`` compares each with the defaults and
    with float64.

    Attributes:
        layout: memory order of images and activations, ``channels-last`` or ``contiguous``.
        deterministic: on CUDA, only kernels that give the same bytes each time.
        benchmark: on CUDA, let cuDNN time its convolutions and take the fastest.
        graphs: on CUDA, record a chunk's product once and replay it: one launch for hundreds.
        stacked: vectors that a pass takes together; 1: one after the other.

    Raises:
        InputError: the layout is unknown, or ``stacked`` is no positive integer.
    """

    layout: str = "channels-last"
    deterministic: bool = True
    benchmark: bool = False
    graphs: bool = False
    stacked: int = 1

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise InputError(f"layout must be one of {', '.join(LAYOUTS)}, got {self.layout!r}")
        if not (isinstance(self.stacked, int) and self.stacked >= 1):
            raise InputError(f"stacked must be an integer of at least 1, got {self.stacked!r}")

    @property
    def channels_last(self) -> bool:
        """Whether 2-d convolutions work in that memory order."""
        return self.layout == "channels-last"

    @property
    def memory_format(self) -> torch.memory_format:
        """Torch's name of the layout."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def describe(self) -> str:
        """Return what differs from the defaults, as results record it; empty where nothing does."""
        parts = [
            *([self.layout] if self.layout != DEFAULT.layout else []),
            *([] if self.deterministic else ["not deterministic"]),
            *(["benchmarked kernels"] if self.benchmark else []),
            *(["graphs"] if self.graphs else []),
            *([f"{self.stacked} vectors a pass"] if self.stacked > 1 else []),
        ]
        return ", ".join(parts)


DEFAULT = Tuning()
