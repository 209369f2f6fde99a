"""How long a download may take: without a byte, and in all."""

import contextlib
import math
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from spectra.errors import InputError

# Ours: a week, which no download takes; torch's and the system's clocks take more.
_LONGEST = 7 * 86400.0


@dataclass(frozen=True)
class Patience:
    """How long to wait.

    Attributes:
        timeout: seconds without a byte. 30, ours: servers that are alive answer within a few.
        deadline: seconds in all. An hour, ours: 170 MB at 48 kB/s, and a slower line goes on by
            another call.
    """

    timeout: float = 30.0
    deadline: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("timeout", "deadline"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 < value <= _LONGEST):
                raise InputError(
                    f"{name} must be seconds above 0, {_LONGEST:.0f} at most, got {value}"
                )


class Deadline:
    """Ends what goes over sockets when its time is over, even a server that sends drop by drop.

    A limit on the wait for each byte does not end that: such a server keeps every one of them.

    Attributes:
        is_over: whether time is over.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._lines: list[socket.socket] = []

    @contextlib.contextmanager
    def after(self, seconds: float) -> Iterator[None]:
        """Let the time run while the block does."""
        clock = threading.Timer(seconds, self._end)
        clock.daemon = True
        clock.start()
        try:
            yield
        finally:
            clock.cancel()
            clock.join()
            for line in self._lines:
                line.close()

    def watch(self, line: socket.socket) -> None:
        """End this connection too when time is over."""
        # A copy: encryption takes a socket over, and leaves nothing in it.
        self._lines.append(line.dup())
        if self.is_over:
            self._end()

    def _end(self) -> None:
        self.is_over = True
        for line in list(self._lines):
            with contextlib.suppress(OSError):  # closed by the other side
                line.shutdown(socket.SHUT_RDWR)
