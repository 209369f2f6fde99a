"""What is a caller's: a wrapped model, a random state, a mode of autograd."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from spectra.engines.memory import default_limit
from spectra.errors import InputError, is_number
from spectra.objective.placement import device_of_model, indexed, place
from spectra.objective.samples.input_tree import Samples
from spectra.system.allocator import resident_bytes
from spectra.system.seeding import derive_seed


@contextlib.contextmanager
def random_state_kept(seed: int | None = None, *names: object) -> Iterator[None]:
    """Leave the random state of Python, NumPy and torch (CPU and cards) as it is now.

    Args:
        seed: what Python, NumPy and torch's CPU generator start from inside the block; None: from
            where they are.
        names: of the stream, see :func:`spectra.derive_seed`.

    >>> before = torch.get_rng_state()
    >>> with random_state_kept(7, "images"):
    ...     drawn = torch.rand(1)
    >>> torch.equal(torch.get_rng_state(), before)
    True
    """
    in_python, in_numpy = random.getstate(), np.random.get_state()
    on_cpu = torch.get_rng_state()
    # Asking a card that nobody has used yet would start it.
    on_cards = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        if seed is not None:
            start = derive_seed(seed, *names)
            random.seed(start)
            np.random.seed(start % 2**32)
            torch.default_generator.manual_seed(start)
        yield
    finally:
        random.setstate(in_python)
        np.random.set_state(in_numpy)
        torch.set_rng_state(on_cpu)
        if on_cards is not None:
            torch.cuda.set_rng_state_all(on_cards)


@contextlib.contextmanager
def caller_left_alone() -> Iterator[None]:
    """Let derivatives be taken inside the block, wherever a training loop calls from.

    Gradients are on, autocast is off, and the random state is put back afterwards.
    """
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
        random_state_kept(),
    ):
        yield


def computing_device(
    model: nn.Module,
    device: torch.device | str | None,
    images: Samples | None = None,
) -> torch.device:
    """Return where to compute: ``device``, or a card that ``images`` are on, or the model's.

    Raises:
        InputError: there is no such device here, the model is spread over several, or model and
            images are on different cards.
    """
    if device is not None:
        return indexed(device)
    if images is not None and images.device.type != "cpu":
        return place(model, images)
    return device_of_model(model)


def room_for_images(device: torch.device, memory: int | None) -> int:
    """Return the bytes of the CPU's memory that images may take.

    Args:
        device: where products are made.
        memory: bytes that may be taken in all on it, or None.
    """
    if memory is not None and not is_number(memory):
        raise InputError(f"memory must be a number of bytes, such as 4 * 2**30, got {memory!r}")
    here = memory if memory is not None and device.type == "cpu" else default_limit("cpu")
    return max(0, int(here) - resident_bytes("cpu"))
