"""The random numbers of the process, which a caller counts on: put back after they were used."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch

from spectra.system.seeding import derive_seed


@contextlib.contextmanager
def random_state_kept(seed: int | None = None, *names: object) -> Iterator[None]:
    """Leave the random state of Python, NumPy and torch (CPU and cards) as it is now.

    Args:
        seed: what Python, NumPy and torch's CPU generator start from inside the block; None: from
            where they are.
        names: of the stream, see :func:`spectra.derive_seed`.

    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch._C.Generator object at ...>
    >>> with random_state_kept(7, "images"):
    ...     inside = torch.rand(1)
    >>> outside = torch.rand(1)
    >>> torch.manual_seed(0).get_state() is not None and bool(outside == torch.rand(1))
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
