"""The cards that torch sees here."""

from dataclasses import dataclass

import torch

_GIB = 2**30


@dataclass(frozen=True)
class Card:
    """A CUDA device.

    Attributes:
        device: ``cuda:0`` and so on.
        name: its maker's.
        memory: bytes in all.
        free: bytes that nobody has taken.
    """

    device: str
    name: str
    memory: int
    free: int

    def describe(self) -> str:
        """Return one line for people."""
        memory = f"{self.free / _GIB:.3g} of {self.memory / _GIB:.3g} GiB free"
        return f"{self.device}, {self.name}, {memory}"


def card(device: torch.device | str) -> Card:
    """Return what is known of one card."""
    free, memory = torch.cuda.mem_get_info(device)
    return Card(str(device), torch.cuda.get_device_name(device), int(memory), int(free))


def cards() -> list[Card]:
    """Return every card; none where torch cannot use any."""
    if not torch.cuda.is_available():
        return []
    return [card(f"cuda:{index}") for index in range(torch.cuda.device_count())]
