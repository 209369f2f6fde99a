"""Silence about other libraries' internals, which a user can do nothing about."""

import contextlib
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop warnings inside the block: torch's of its forward mode and tracing, or a peer's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
