"""Explicit random generators derived from one seed and a name."""

import hashlib

import torch

from spectra.errors import check_integer


def derive_seed(seed: int, *names: object) -> int:
    """Return a 63-bit seed that depends on ``seed`` and on every name, and on nothing else.

    Streams are independent of the order in which they are asked for, so a class gets the same
    probes whether it is analyzed alone or among others.

    Raises:
        InputError: ``seed`` is no integer.

    Example:
        >>> import spectra
        >>> spectra.derive_seed(0, "probe", "8", 0)
        3449975957407094385
    """
    check_integer("seed", seed)
    text = repr((int(seed), *[str(name) for name in names])).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def make_generator(seed: int, *names: object) -> torch.Generator:
    """Return a CPU generator seeded by :func:`derive_seed`.

    Random numbers are drawn on the CPU and moved, so that every device sees the same ones.

    Example:
        >>> of_class, of_another = spectra.make_generator(0, "8"), spectra.make_generator(0, "9")
        >>> torch.equal(torch.rand(3, generator=of_class), torch.rand(3, generator=of_another))
        False
    """
    return torch.Generator(device="cpu").manual_seed(derive_seed(seed, *names))
