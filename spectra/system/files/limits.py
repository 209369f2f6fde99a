"""How large what a file brings may be: each limit with its reason, and the way to raise it.

A file of a stranger states sizes before it brings what has them, and a small file may state large
ones. Every size is held against a limit here before anything is made of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import Any

from spectra.errors import InputError

_KIB, _MIB, _GIB = 2**10, 2**20, 2**30
_ABSURD = 2**63  # no file system has files that large, and no tensor as many elements


def _bytes(default: int, of: str, reason: str) -> Any:
    return field(default=default, metadata={"of": of, "reason": reason, "bytes": True})


def _count(default: int, of: str, reason: str) -> Any:
    return field(default=default, metadata={"of": of, "reason": reason, "bytes": False})


@dataclass(frozen=True)
class Limits:
    """The limits, by the names that ``spectra --limit NAME=VALUE`` takes. All values are ours."""

    json_file: int = _bytes(
        16 * _MIB, "a JSON file", "our largest has 50 KiB, and lists take 80 times their text"
    )
    toml_file: int = _bytes(1 * _MIB, "a TOML file", "recipes and studies are written by hand")
    density_file: int = _bytes(
        64 * _MIB, "a file of nodes and weights", "room for four million pairs of numbers"
    )
    depth: int = _count(
        100, "lists and objects inside each other", "neither our files nor checkpoints go past 20"
    )
    eigenvectors: int = _count(
        100_000_000,
        "numbers in the eigenvectors of stored runs",
        "a thousand classes of ten probes of 100 steps, and 10,000 steps of one take a minute",
    )
    record_values: int = _count(
        4_000_000,
        "values of the records of a result",
        "8,142 classes have one million, and a column of one word stands for as many as it likes",
    )
    checkpoint_file: int = _bytes(
        16 * _GIB, "a checkpoint's file", "room for four thousand million float32 weights"
    )
    header: int = _bytes(
        16 * _MIB, "the header of a safetensors file", "room for a hundred thousand tensors"
    )
    tensors: int = _count(
        100_000,
        "tensors in a checkpoint",
        "the largest networks have 3,000, an optimizer twice that",
    )
    shared_tensors: int = _bytes(
        256 * _MIB, "what tensors take beyond what the file stores of them",
        "tied and expanded tensors are stored once, and each takes its own memory later",
    )  # fmt: skip
    pickle: int = _bytes(64 * _MIB, "a pickle beside tensors", "the tensors lie outside it")
    pickle_steps: int = _count(
        1_000_000, "instructions of a pickle", "a tensor takes 25, and a million take seconds"
    )
    name: int = _count(1_000, "characters of a name", "the longest keys of networks have 150")
    classes: int = _count(
        100_000, "classes", "five times those of ImageNet-21k, and memory goes with their number"
    )
    data_file: int = _bytes(
        16 * _GIB, "a file of images, labels or vectors", "room for ImageNet at 64x64 pixels"
    )
    unpacked: int = _bytes(
        256 * _MIB,
        "what nearly empty data become",
        "zeros become a thousand times their file, and halves or bytes then numbers of four bytes",
    )
    compressed_weights: int = _bytes(
        256 * _MIB,
        "what nearly empty weights become",
        "torch compresses none, and numbers of one byte take four once they are read",
    )
    image_list: int = _bytes(
        256 * _MIB, "a list of images", "iNaturalist 2018's JSON has 120 MiB, its text 35"
    )
    image_pixels: int = _count(
        89_478_485, "pixels of an image", "Pillow's own limit: a quarter of a GiB in colour"
    )


NAMES = tuple(one.name for one in fields(Limits))
_DEFAULTS = Limits()
_IN_FORCE: ContextVar[Limits] = ContextVar("limits in force", default=_DEFAULTS)


def limit(name: str) -> int:
    """Return the value in force of a limit."""
    value: int = getattr(_IN_FORCE.get(), name)
    return value


def limits_in_force() -> Limits:
    """Return all limits with the values in force."""
    return _IN_FORCE.get()


def counts_bytes(name: str) -> bool:
    """Say whether a limit is a number of bytes."""
    return bool(_known(name)["bytes"])


def description_of(name: str) -> str:
    """Return what a limit is of, and its value where nobody gives another."""
    return f"{_known(name)['of']} ({_shown(name, getattr(_DEFAULTS, name))})"


@contextmanager
def raised_limits(**values: int) -> Iterator[None]:
    """Read with other limits while the block runs, in this thread or task alone.

    Args:
        values: by the names of :class:`Limits`.

    Raises:
        InputError: there is no limit of a name, or a value is no integer from 1.

    Example:
        >>> from spectra.system.files.limits import limit, raised_limits
        >>> with raised_limits(classes=200_000):
        ...     limit("classes")
        200000
        >>> limit("classes")
        100000
    """
    for name, value in values.items():
        _known(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"the limit {name} must be an integer from 1, got {value!r}")
    token = _IN_FORCE.set(replace(_IN_FORCE.get(), **values))
    try:
        yield
    finally:
        _IN_FORCE.reset(token)


def check_limit(name: str, came: int, what: str) -> None:
    """Refuse a size above its limit, before anything of that size is made.

    Args:
        name: of the limit.
        came: the size.
        what: has it: a file, or ``FILE: num_classes``.

    Raises:
        InputError: what came, the limit, its reason, and what raises it.

    Example:
        >>> from spectra.system.files.limits import check_limit
        >>> check_limit("toml_file", 3 * 2**20, "study.toml")
        Traceback (most recent call last):
        spectra.errors.InputError: study.toml: 3 MiB is more than the limit of a TOML file, ...
    """
    if came <= limit(name):
        return
    raised = ""
    if came < _ABSURD:
        raised = f"; if that is meant, raise it: spectra --limit {name}={_given(name, came)} ..."
    raise InputError(
        f"{what}: {_shown(name, came)} is more than the limit of {_known(name)['of']}, "
        f"{_shown(name, limit(name))} ({_known(name)['reason']}){raised}"
    )


def _known(name: str) -> Any:
    found = {one.name: one.metadata for one in fields(Limits)}.get(name)
    if found is None:
        raise InputError(f"there is no limit {name!r}; expected one of {', '.join(NAMES)}")
    return found


def _shown(name: str, value: int) -> str:
    if value >= _ABSURD:
        return "a number above 2^63"
    number, unit = _in_units(value) if counts_bytes(name) else (value, "")
    return f"{number:,} {unit}".strip()


def _given(name: str, value: int) -> str:
    """Return a value as ``--limit`` takes it."""
    number, unit = _in_units(value) if counts_bytes(name) else (value, "")
    return f"{number}{unit}"


def _in_units(nbytes: int) -> tuple[int, str]:
    """Return a number of bytes in a unit that fits, rounded up."""
    for unit, size in (("GiB", _GIB), ("MiB", _MIB), ("KiB", _KIB)):
        if nbytes >= 10 * size or (nbytes >= size and nbytes % size == 0):
            return -(-nbytes // size), unit
    return nbytes, ""
