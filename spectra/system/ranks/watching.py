"""Whether the other ranks of a job still live: heartbeats, and who has none."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

from spectra.system.ranks.meeting import FAILED, LEFT, TOLD, Meeting

logger = logging.getLogger(__name__)

# Ours: seconds between two heartbeats of a rank.
BEAT = 0.5
# Ours: seconds without a heartbeat after which a rank counts as dead: a machine that swaps stands
# still for a while, and a job must not hang for a minute.
SILENCE = 30.0
# Ours: the same where something has gone wrong already: torchrun ends what is left after 30 s.
SILENCE_AT_THE_END = 5.0
# Ours: what a user can mend, as at the command line.
_EXIT_CODE = 2
_ENDED = (LEFT, FAILED, TOLD)
_OUT_OF_REACH = (
    "the place where the processes of this job meet is gone: torchrun, or rank 0, has ended, or "
    "its machine is out of reach; give the same command again, which makes what is missing"
)


class Heartbeats:
    """A thread that says that this rank lives, and ends this process where another one is dead.

    A rank that was killed takes no part in the next sum, and the others would wait for it. Its
    heartbeats stop, which every rank sees; the first one that sees it says so in one line, and all
    end with exit code 2. What they were writing is then whole or not there, as after any kill.

    A second thread looks whether the first gets on: where the network is cut, it waits for an
    answer from the meeting place for as long as TCP does, which may be a quarter of an hour.

    Args:
        meeting: where heartbeats are left.
    """

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self._stopped = threading.Event()
        self._seen: dict[int, tuple[str, float]] = {}
        self._thread = threading.Thread(target=self._run, name="spectra heartbeats", daemon=True)
        self._left = threading.Event()
        self._idle = self._others_bad = 0
        self._guard = threading.Thread(target=self._look, name="spectra network", daemon=True)
        meeting.introduce(f"process {os.getpid()} on {socket.gethostname()}")
        meeting.say("0")

    def start(self) -> None:
        """Begin; every rank has said who it is by now."""
        self._thread.start()
        self._guard.start()

    def stop(self) -> None:
        """Say no more that this rank lives: it says in another way how it ends."""
        self._stopped.set()
        self._thread.join()
        self._idle = 0

    def leave(self) -> None:
        """End what :meth:`stop` has left: nothing is asked of the others any more."""
        self._left.set()

    def dead(self, silence: float) -> list[int]:
        """Return the ranks that have said nothing new for so many seconds, as seen from here."""
        now = time.monotonic()
        found = []
        for rank, state in enumerate(self._meeting.states()):
            if rank == self._meeting.rank or state in _ENDED:
                continue
            before, since = self._seen.get(rank, ("", now))
            if state != before:
                before, since = state, now
                self._seen[rank] = (state, now)
            if now - since >= silence:
                found.append(rank)
        return found

    def dead_at_the_end(self) -> list[int]:
        """Return the ranks that have died, having waited until that would be seen.

        Returns at once where another one has failed by itself, which explains everything.
        """
        until = time.monotonic() + SILENCE_AT_THE_END + 2 * BEAT
        found = self.dead(SILENCE_AT_THE_END)
        while not found and time.monotonic() < until:
            states = self._meeting.states()
            if FAILED in states or all(state in _ENDED for state in states):
                break
            time.sleep(BEAT / 2)
            found = self.dead(SILENCE_AT_THE_END)
        return found

    def obituary(self, ranks: list[int]) -> str:
        """Return the line that names ranks that have died."""
        named = " and ".join(f"rank {rank} ({self._meeting.who(rank)})" for rank in ranks)
        have = "has" if len(ranks) == 1 else "have"
        return (
            f"{named} {have} died: killed, perhaps for want of memory, or the machine is out of "
            "reach; what was finished is kept: give the same command again, with any number of "
            "processes, which makes what is missing"
        )

    def failed_elsewhere(self) -> str:
        """Return a line where another rank has failed for a while, and this one still works.

        On one machine torchrun ends the others by itself; of several machines it does not.
        """
        states = self._meeting.states()
        bad = [rank for rank, state in enumerate(states) if state in (FAILED, TOLD)]
        self._others_bad = self._others_bad + 1 if bad else 0
        if self._others_bad * BEAT < SILENCE_AT_THE_END:
            return ""
        how = "failed, and has said why" if states[bad[0]] == FAILED else "was told to end"
        return (
            f"rank {bad[0]} ({self._meeting.who(bad[0])}) {how}; what was finished is kept: give "
            "the same command again, which makes what is missing"
        )

    def _look(self) -> None:
        """End this process where nothing has been heard of the meeting place for too long."""
        # Counted, not timed: a process that was stopped for a while is none that hears nothing.
        while not self._left.wait(BEAT):
            self._idle += 1
            if self._idle * BEAT >= SILENCE:
                logger.critical(_OUT_OF_REACH)
                os._exit(_EXIT_CODE)

    def _run(self) -> None:
        beats = 0
        while not self._stopped.wait(BEAT):
            beats += 1
            try:
                self._meeting.say(str(beats))
                found = self.dead(SILENCE)
                line = self.obituary(found) if found else self.failed_elsewhere()
                key = "speak" if found else f"speak on {socket.gethostname()}"
                speaks = bool(line) and self._meeting.first_to(key)
            except (RuntimeError, OSError):
                line, speaks = _OUT_OF_REACH, True
            self._idle = 0
            if line and not self._stopped.is_set():
                if speaks:
                    logger.critical(line)
                os._exit(_EXIT_CODE)
