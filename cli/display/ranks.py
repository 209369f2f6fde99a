"""What the processes that ``torchrun`` has started say: rank 0 speaks, and a warning says whose.

The environment says whether there are several; without it nothing here costs anything.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from cli.display.lines import OneLine
from spectra.errors import InputError


def _rank() -> str:
    """Return this process's rank as the environment has it; empty where it is the only one."""
    size = os.environ.get("WORLD_SIZE", "")
    return os.environ.get("RANK", "") if size.isdecimal() and int(size) > 1 else ""


def hush_others() -> None:
    """Have this process print nothing, unless it is rank 0 or the only one."""
    if _rank() not in ("", "0"):
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def log_handler() -> logging.Handler:
    """Return what prints warnings: a line each on standard error, of others with their rank."""
    rank = _rank()
    others = rank not in ("", "0")
    handler = logging.StreamHandler(sys.__stderr__ if others else sys.stderr)
    handler.setFormatter(OneLine(f"rank {rank}: %(message)s" if others else "%(message)s"))
    return handler


@contextlib.contextmanager
def among_ranks(command: str, *, allowed: bool) -> Iterator[None]:
    """Have a command run as one of the processes that ``torchrun`` has started, if it has.

    Where it fails, one rank says why.

    Args:
        command: its name.
        allowed: whether several processes can run it together.

    Raises:
        InputError: they cannot; or see :func:`spectra.system.ranks.joined`.
    """
    if not (os.environ.get("RANK") or os.environ.get("WORLD_SIZE")):
        yield
        return
    from spectra.system.ranks import SaidElsewhereError, joined
    from spectra.system.ranks.launched import launched

    found = launched(os.environ)
    if found is not None and found.size > 1 and not allowed:
        raise InputError(
            f"{command} works in one process, and torchrun has started "
            f"{found.size}; give the command without torchrun"
        )
    try:
        with joined():
            yield
    except SaidElsewhereError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        raise
    except BaseException:
        sys.stderr = sys.__stderr__
        raise
