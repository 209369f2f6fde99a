"""How products are computed, apart from what they compute: layout, kernels, graphs, stacking."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from spectra.errors import InputError

LAYOUTS = ("channels-last", "contiguous")
# In place of a tuning: whatever is fastest on the first chunk.
MEASURED = "measured"
# Ours: no analysis has more vectors at once, and memory is planned for as many as are allowed.
MOST_STACKED = 64
# Ours: of tiny images, so many losses of 20 each are a card's chunk of some hundred images.
MOST_LOSSES = 16


@dataclass(frozen=True)
class Tuning:
    """Choices that change the speed of products and their rounding, nothing else.

    The defaults are what was measured: on CPUs, and of recorded graphs on a GPU, where they gave
    the same bytes and took .3 to .8 of the time. The others are for GPUs and off, for they give
    other bytes: ``spectra bench --suite gpu`` compares each with the defaults and with float64.

    Attributes:
        layout: memory order of images and activations, ``channels-last`` or ``contiguous``.
        deterministic: on CUDA, only those of cuDNN's kernels that give the same bytes each time.
            The backward pass of max pooling, which is torch's own, has none.
        benchmark: on CUDA, let cuDNN time its convolutions and take the fastest.
        graphs: on CUDA, record a chunk's product once and replay it: one launch for hundreds. None:
            where products are a tangent pass on a CUDA device; what cannot be recorded, or is not
            the product when it is replayed, is made without, which the log says.
        stacked: vectors that a pass takes together; 1: one after the other.
        losses: small losses that share a pass where there are many, at most; 1: one after the
            other. None: 16 on CUDA, 1 on a CPU, which analyzes one a core.

    Raises:
        InputError: the layout is unknown, or ``stacked`` or ``losses`` is no integer of 1 to 64.
    """

    layout: str = "channels-last"
    deterministic: bool = True
    benchmark: bool = False
    graphs: bool | None = None
    stacked: int = 1
    losses: int | None = None

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise InputError(f"layout must be one of {', '.join(LAYOUTS)}, got {self.layout!r}")
        for name, number in (("stacked", self.stacked), ("losses", self.losses)):
            if number is None and name == "losses":
                continue
            if not (isinstance(number, int) and 1 <= number <= MOST_STACKED):
                raise InputError(
                    f"{name} must be an integer of 1 to {MOST_STACKED}, got {number!r}"
                )

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
            *([] if self.graphs is None else ["graphs" if self.graphs else "no graphs"]),
            *([f"{self.stacked} vectors a pass"] if self.stacked > 1 else []),
        ]
        return ", ".join(parts)


DEFAULT = Tuning()


def parse_tuning(text: str, *, deterministic: bool = False) -> Tuning | str:
    """Read ``default``, ``measured``, or words joined by commas.

    Words: a layout; ``benchmark``, which takes the fastest kernels, deterministic or not;
    ``graphs`` and ``no-graphs``; ``stacked:K`` vectors a pass; ``losses:B`` a pass.

    Args:
        text: such as ``contiguous,graphs,stacked:4``.
        deterministic: refuse what may give other bytes each time.

    Raises:
        InputError: a word is unknown, or not deterministic where it should be.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == [MEASURED]:
        if deterministic:
            raise InputError(
                "what is fastest may differ from run to run, and its bytes with it; leave out "
                "--tuning measured or --deterministic"
            )
        return MEASURED
    changes: dict[str, Any] = {}
    for word in words:
        kind, _, number = word.partition(":")
        if word in LAYOUTS:
            changes["layout"] = word
        elif word == "benchmark":
            changes |= {"benchmark": True, "deterministic": False}
        elif word in ("graphs", "no-graphs"):
            changes["graphs"] = word == "graphs"
        elif kind == "stacked" and number.isdecimal():
            changes["stacked"] = int(number)
        elif kind == "losses" and number.isdecimal():
            changes["losses"] = int(number)
        elif word != "default" or len(words) > 1:
            raise InputError(
                f"tuning must be default, {MEASURED}, or words among {', '.join(LAYOUTS)}, "
                f"benchmark, graphs, no-graphs, stacked:K and losses:B joined by commas, "
                f"got {text!r}"
            )
    if not words:
        raise InputError(f"tuning must be default, {MEASURED} or words, got {text!r}")
    if deterministic and changes.get("benchmark"):
        raise InputError(
            "benchmarked kernels may give other bytes each time; leave out benchmark or "
            "--deterministic"
        )
    return replace(DEFAULT, **changes)
