"""Tensors that depend on a handful of numbers, copied to a device once and kept."""

import functools
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def constant(make: Callable[..., T]) -> Callable[..., T]:
    """Return ``make``, a module's function, with each of its results kept as long as we run.

    What a loss needs of the class counts is so copied to a GPU once and not at every pass, which
    would wait for the GPU each time. It is never freed: a recorded step goes on reading it. Within
    a function transform of torch nothing is kept: a tensor made there belongs to the transform.

    Args:
        make: returns small tensors that nobody changes; its arguments can be hashed.
    """
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return make
    return _kept(make)


@functools.cache
def _kept(make: Callable[..., T]) -> Callable[..., T]:
    @functools.cache
    def kept(*arguments: object) -> T:
        with torch.inference_mode(False):  # for else autograd would refuse it later
            return make(*arguments)

    return kept
