"""What Python sees of the pretended cards: ``torch.cuda``, and counts of launches and waits.

A wait is a synchronisation: the processor stands still until the card has done all it was given.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
import threading
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

CARDS = 2
GIB = 2**30
MEMORY = 80 * GIB
PRODUCT = ("spectra", "checkpoints", "cli", "figures")
_ROOT = Path(__file__).resolve().parents[2]
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


@dataclass
class Count:
    """What happened in a block.

    Attributes:
        kernels: launches by operation, on both cards.
        cards: launches by card.
        waits: synchronisations by kind and place.
        places: launches by place, where they were asked for.
    """

    kernels: Counter[str] = field(default_factory=Counter)
    cards: Counter[int] = field(default_factory=Counter)
    waits: Counter[tuple[str, str]] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)

    @property
    def launches(self) -> int:
        """Kernels in all."""
        return self.kernels.total()

    def facts(self) -> dict[str, object]:
        """Return the plain form: numbers, the commonest kernels, and where it waited."""
        return {
            "launches": self.launches,
            "waits": self.waits.total(),
            "kernels": dict(self.kernels.most_common(12)),
            "waits_at": [f"{n} {kind} {at}" for (kind, at), n in self.waits.most_common(12)],
            **({"places": dict(self.places.most_common(40))} if self.places else {}),
        }


class Card:
    """The loaded library.

    Args:
        library: see :func:`pretended_gpu.build.load_card`.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        library.pretended_counts.restype = ctypes.c_char_p
        for name in ("capacity", "live", "peak"):
            getattr(library, f"pretended_{name}").restype = ctypes.c_int64
        library.pretended_start(ctypes.c_int64(MEMORY))
        self._count: Count | None = None
        self._on_wait = _CALLBACK(self._waited)
        self._on_launch = _CALLBACK(self._launched)
        library.pretended_observe(self._on_wait, None)
        _dress(self)

    @contextmanager
    def counted(self, *, places: bool = False) -> Iterator[Count]:
        """Count what the block does; filled in when it ends.

        Args:
            places: also where kernels were launched, at the cost of time.
        """
        count, before = Count(), self._count
        self._library.pretended_forget_counts()
        self._library.pretended_observe(self._on_wait, self._on_launch if places else None)
        self._count = count
        try:
            yield count
        finally:
            self._count = before
            self._library.pretended_observe(self._on_wait, None)
            for line in self._library.pretended_counts().decode().splitlines():
                card, name, launches = line.split()
                count.kernels[name] += int(launches)
                count.cards[int(card)] += int(launches)

    @contextmanager
    def memory(self, size: int, card: int = 0) -> Iterator[None]:
        """Have a card of ``size`` bytes within the block."""
        before = self._library.pretended_capacity(card)
        self._library.pretended_set_capacity(card, ctypes.c_int64(size))
        try:
            yield
        finally:
            self._library.pretended_set_capacity(card, ctypes.c_int64(before))

    def live(self, card: int = 0) -> int:
        """Return the bytes that tensors hold on a card."""
        return int(self._library.pretended_live(card))

    def peak(self, card: int = 0) -> int:
        """Return the most that they held since :meth:`forget_peak`."""
        return int(self._library.pretended_peak(card))

    def forget_peak(self, card: int = 0) -> None:
        """Begin to look for the peak anew."""
        self._library.pretended_forget_peak(card)

    def capacity(self, card: int = 0) -> int:
        """Return a card's bytes."""
        return int(self._library.pretended_capacity(card))

    def current(self) -> int:
        """Return the number of the current card."""
        return int(self._library.pretended_current())

    def exchange(self, card: int) -> int:
        """Make ``card`` the current one, unless it is negative; return the one before."""
        before = self.current()
        if card >= 0:
            self._library.pretended_set_current(card)
        return before

    @contextmanager
    def recorded(self, graph: Graph, **_: object) -> Iterator[None]:
        """Record the block into ``graph``; see ``torch.cuda.graph``."""
        graph.card = self.current()
        self._library.pretended_begin_recording()
        try:
            yield
        finally:
            self._library.pretended_end_recording(graph.number)

    def replay(self, graph: Graph) -> None:
        """Make a graph's calls again, on the card that it was recorded on, as torch does."""
        before = self.exchange(graph.card)
        self._library.pretended_replay(graph.number)
        self.exchange(before)

    def drop(self, number: int) -> None:
        """Forget a graph."""
        self._library.pretended_drop_graph(number)

    def is_recording(self) -> bool:
        """Say whether a block is being recorded."""
        return bool(self._library.pretended_is_recording())

    def wait(self, kind: str) -> None:
        """Count a wait."""
        if self._count is not None:
            self._count.waits[kind, _place()] += 1

    def _waited(self, kind: bytes) -> None:
        self.wait(kind.decode())

    def _launched(self, name: bytes) -> None:
        if self._count is not None:
            self._count.places[f"{_place()} {name.decode()}"] += 1


class Stream:
    """A stream of a card, on which everything is done at once."""

    def __init__(self, device: object = None, **_: object) -> None:
        self.device = device

    def wait_stream(self, other: Stream) -> None:
        """Wait for what is done already."""


class Graph:
    """What ``torch.cuda.CUDAGraph`` is."""

    numbers = itertools.count()

    def __init__(self, of: Card, **_: object) -> None:
        self.of, self.number, self.card = of, next(self.numbers), 0

    def replay(self) -> None:
        """Make its calls again."""
        self.of.replay(self)

    def reset(self) -> None:
        """Forget its calls."""
        self.of.drop(self.number)

    def __del__(self) -> None:
        self.reset()


def _place() -> str:
    """Return file and line of the toolkit's innermost frame."""
    if isinstance(threading.current_thread(), threading._DummyThread):
        return "a backward pass"  # torch's own thread
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in PRODUCT:
            return f"{path.relative_to(_ROOT)}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"


def _dress(card: Card) -> None:
    """Give ``torch.cuda`` what a build without CUDA lacks, for ``card``."""

    def number(device: object = None) -> int:
        if device is None:
            return card.current()
        if isinstance(device, int):
            return device
        index = torch.device(device).index  # type: ignore[call-overload]
        return card.current() if index is None else index

    def set_device(device: object) -> None:
        card.exchange(number(device))

    properties = types.SimpleNamespace(
        name="pretended", major=8, minor=0, multi_processor_count=108, total_memory=MEMORY
    )
    state = torch.zeros(16, dtype=torch.uint8)
    faces: dict[str, Callable[..., object]] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda *_, **__: True,
        "device_count": lambda: CARDS,
        "current_device": card.current,
        "set_device": set_device,
        "_exchange_device": card.exchange,
        "_maybe_exchange_device": card.exchange,
        "empty_cache": lambda: None,
        "synchronize": lambda device=None: card.wait("synchronize"),
        "mem_get_info": lambda d=None: (
            card.capacity(number(d)) - card.live(number(d)),
            card.capacity(number(d)),
        ),
        "memory_reserved": lambda d=None: card.live(number(d)),
        "memory_allocated": lambda d=None: card.live(number(d)),
        "max_memory_reserved": lambda d=None: card.peak(number(d)),
        "max_memory_allocated": lambda d=None: card.peak(number(d)),
        "reset_peak_memory_stats": lambda d=None: card.forget_peak(number(d)),
        "get_device_name": lambda d=None: properties.name,
        "get_device_properties": lambda d=None: properties,
        "get_device_capability": lambda d=None: (properties.major, properties.minor),
        "CUDAGraph": partial(Graph, card),
        "Stream": Stream,
        "current_stream": Stream,
        "graph": card.recorded,
        "graph_pool_handle": lambda: (0, 0),
        "is_current_stream_capturing": card.is_recording,
        "stream": lambda stream: nullcontext(),
        "get_rng_state": lambda d=None: state.clone(),
        "set_rng_state": lambda new, d=None: None,
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
    }
    for name, face in faces.items():
        setattr(torch.cuda, name, face)
    of_host = torch.UntypedStorage.clone

    def clone(storage: torch.UntypedStorage) -> torch.UntypedStorage:
        """Copy a storage, which Python cannot allocate on a card of this build."""
        if storage.device.type != "cuda":
            return of_host(storage)
        there: Tensor = torch.empty(0, dtype=torch.uint8, device=storage.device)
        return there.set_(storage).clone().untyped_storage()

    torch.UntypedStorage.clone = clone  # type: ignore[method-assign]
