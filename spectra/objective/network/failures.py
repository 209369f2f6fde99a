"""What torch or a network raises in a pass, as one line."""

import contextlib
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch

from spectra.errors import OperatorError, SpectraError
from spectra.objective.network.own_forward import OwnForward
from spectra.system.allocator import out_of_memory

_NO_DERIVATIVE = re.compile(
    r"derivative (?:for|of) '?(?:aten::)?_?(\w+?)(?:_backward\w*)?'? is not implemented"
)
_ONCE = re.compile(r"once_differentiable|does not support double backward|double backwards? is not")
_IN_PLACE = "modified by an inplace operation"
_SECOND_PASS = "backward through the graph a second time"
_ELSEWHERE = re.compile(r"same dtype|expected scalar type|same device|expected .* device", re.I)
# Code that people did not write for their network.
_OURS = (contextlib.__file__, str(Path(torch.__file__).parent), str(Path(__file__).parents[2]))


@contextlib.contextmanager
def passes_of_network() -> Iterator[None]:
    """Have what goes wrong in a pass of a network or of its loss be one line.

    Deliberate errors, a lack of memory, and what goes wrong elsewhere stay what they are.

    Raises:
        OperatorError: an error of torch, or any error within the network's forward pass; the
            message names the operation.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, SpectraError) or out_of_memory(error) or not _of_a_pass(error):
            raise
        raise OperatorError(in_one_line(error)) from error


def in_one_line(error: Exception) -> str:
    """Return what went wrong in a pass, where, and what can be done."""
    text = " ".join(str(error).split())
    without = _NO_DERIVATIVE.search(text)
    if without:
        return (
            f"operation {without[1]} of network or loss has no second derivative in torch; write "
            "it in operations that have one"
        )
    if _ONCE.search(text):
        return (
            "an operation of network or loss has no second derivative in torch (a backward that "
            "is marked once_differentiable); write its backward in differentiable operations"
        )
    if _IN_PLACE in text:
        return (
            "network or loss changes a value in place that its derivatives need; write x = x + y "
            f"in place of x += y: {text[:160]}"
        )
    if _SECOND_PASS in text:
        return (
            "network or loss computes with a value of an earlier pass, whose graph is gone; "
            "compute it in every forward pass"
        )
    kind = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
    advice = ""
    if _ELSEWHERE.search(text):
        advice = (
            "; a tensor that the network does not keep, such as one of a closure, stays in its "
            "own precision and place: make it a buffer, or convert it to those of the inputs"
        )
    return f"network or loss failed in a pass{_place(error)}: {kind}{text[:200]}{advice}"


def _of_a_pass(error: Exception) -> bool:
    """Say whether torch raised it, or anything that a forward pass calls."""
    if isinstance(error, RuntimeError):  # NotImplementedError is one
        return True
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_code is OwnForward.__call__.__code__ for frame in frames)


def _place(error: Exception) -> str:
    """Return file, line and function of the innermost frame outside torch and this package."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((*_OURS, "<")):
            return f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"
    return ""
