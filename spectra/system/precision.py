"""Full float32, or TF32, within a block, whichever of torch's two interfaces a user has set."""

import contextlib
from collections.abc import Iterator

import torch

from spectra.system.quiet import quiet

# torch keeps a precision for each backend and kind of operation. One that is "none" takes that of
# its parent: ("cuda", "conv") of ("cuda", "all"), and that of ("generic", "all").
_Place = tuple[str, str]
_EVERYTHING = ("generic", "all")
_PARENTS: tuple[_Place, ...] = (_EVERYTHING, ("cuda", "all"), ("mkldnn", "all"))
_MATMULS: tuple[_Place, ...] = (("cuda", "matmul"), ("mkldnn", "matmul"))
_OTHERS = ("conv", "rnn")
FULL, TF32 = "ieee", "tf32"


@contextlib.contextmanager
def float32_precision(device: torch.device, *, tf32: bool) -> Iterator[None]:
    """Have convolutions and matrix products in full float32, or on TF32 units, within the block.

    A caller's autocast is off in it; one that is entered inside works.

    What was set before, by ``torch.set_float32_matmul_precision`` and ``allow_tf32`` or by the
    newer ``fp32_precision``, is put back afterwards: both interfaces then answer, or refuse to
    answer, as they did. Inside the block the older question ``torch.backends.cudnn.allow_tf32``
    may be refused, for its answer cannot be changed without losing what it was.

    The settings are the process's: not to be entered by several threads at once, but within
    :func:`full_precision_held`.

    Cost: some twenty calls into torch, about 10 µs.

    Args:
        device: where the work is; on a CPU, what is kept away is oneDNN's TF32 and bfloat16.
        tf32: allow TF32; on a CUDA device alone.
    """
    if _Held.now:
        with _no_autocast(device):
            yield
        return
    backend = "cuda" if device.type == "cuda" else "mkldnn"
    wanted = TF32 if tf32 and backend == "cuda" else FULL
    found = {place: _take(place) for place in (*_PARENTS, *_MATMULS)}
    # Where every place is "none", the older interface has nothing to find fault with.
    with quiet():  # its use may be deprecated
        older = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if wanted == TF32 else "highest")
    for place in _PARENTS:
        _put(place, found[place])
    _put((backend, "all"), wanted)
    for operation in _OTHERS:
        place = (backend, operation)
        # One that takes its parent's precision is left to it: torch's own default could not be
        # put back. Any other now shows the value of its own.
        if _get(place) != wanted:
            found[place] = _get(place)
            _put(place, wanted)
    try:
        with _no_autocast(device):
            yield
    finally:
        with quiet():
            torch.set_float32_matmul_precision(older)
        for place, precision in found.items():
            _put(place, precision)


@contextlib.contextmanager
def full_precision_held(device: torch.device) -> Iterator[None]:
    """Hold full float32 for all threads of the process: nothing changes the setting in the block.

    Args:
        device: where the work is.
    """
    with float32_precision(device, tf32=False):
        before, _Held.now = _Held.now, True
        try:
            yield
        finally:
            _Held.now = before


def settings_are_held() -> bool:
    """Say whether :func:`full_precision_held` is in force."""
    return _Held.now


class _Held:
    """Whether torch's settings are held for several threads."""

    now = False


def _no_autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Have operations on ``device`` compute in the type of their tensors, whatever a caller has."""
    if device.type not in ("cpu", "cuda") or not torch.is_autocast_enabled(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)


def _get(place: _Place) -> str:
    """Return what holds at ``place``: its own precision, or its parent's."""
    return torch._C._get_fp32_precision_getter(*place)


def _put(place: _Place, precision: str) -> None:
    torch._C._set_fp32_precision_setter(*place, precision)


def _take(place: _Place) -> str:
    """Return what ``place`` itself has, its parents having "none", and give it "none" too."""
    precision = _get(place)
    _put(place, "none")
    return precision
