"""The faults that are tried: each write point is killed at, and the rest is drawn by a seed."""

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jobs import JOBS

KILLED, STOPPED, REFUSED = -signal.SIGKILL, (-signal.SIGTERM, 143), 2
INTERRUPTED = (130,)
# How many cases of each kind a job has: what takes longer has fewer.
DRAWS = {"train": 4, "analyze": 4, "trajectory": 2, "plot": 2, "study": 1}
SAMPLE = 20


@dataclass(frozen=True)
class Case:
    """A fault, and where it strikes.

    Attributes:
        name: of the case.
        job: what is disturbed, a key of ``JOBS``.
        fault: as :func:`injected.install` takes it; ``at`` is left to ``share``, where that is set.
        codes: exit codes that are right.
        share: of the write points that are passed before the fault.
        moment: share of the time that an undisturbed job takes, after which ``signals`` are sent
            from outside; None: they are not.
    """

    name: str
    job: str
    fault: dict[str, Any]
    codes: tuple[int, ...]
    share: float | None = None
    moment: float | None = None
    outputs: dict[str, str] = field(default_factory=dict)


def kills() -> Iterator[Case]:
    """Yield a kill at each write point of each job."""
    for job in JOBS.values():
        for at in range(job.write_points):
            fault = {"kind": "signals", "signals": [signal.SIGKILL], "at": at, "pause": 0}
            yield Case(f"{job.name}-killed-at-{at}", job.name, fault, (KILLED,))


def drawn() -> Iterator[Case]:
    """Yield faults at drawn places."""
    for job, draws in DRAWS.items():
        rng = random.Random(f"faults of {job}")
        for number in range(draws):
            for case in (*_at_a_write(job, rng), *_at_a_moment(job, rng), *_of_limits(job, rng)):
                name = f"{job}-{case.name}-{number}"
                yield Case(name, job, case.fault, case.codes, case.share, case.moment, case.outputs)


def quick_sample() -> set[str]:
    """Return the names of those that run with all other tests: of the quick jobs, every kind."""
    rng = random.Random("sample of the faults")
    by_kind: dict[str, list[str]] = {}
    for case in (*kills(), *drawn()):
        quick = case.job in ("train", "analyze", "plot")
        if quick and case.fault.get("at", 0) < 4:
            by_kind.setdefault(case.name.split("-", 1)[1].rsplit("-", 1)[0], []).append(case.name)
    chosen = [rng.choice(names) for names in by_kind.values()]
    rest = sorted({name for names in by_kind.values() for name in names} - set(chosen))
    return {*chosen[:SAMPLE], *rng.sample(rest, max(0, SAMPLE - len(chosen)))}


def _at_a_write(job: str, rng: random.Random) -> Iterator[Case]:
    def of(name: str, codes: tuple[int, ...], **fault: Any) -> Case:
        return Case(name, job, fault, codes, share=rng.random())

    interrupt, pause = signal.SIGINT, rng.uniform(0, 0.05)
    yield of("terminated", STOPPED, kind="signals", signals=[signal.SIGTERM], pause=0)
    yield of("interrupted", INTERRUPTED, kind="signals", signals=[interrupt], pause=0)
    yield of("interrupted-twice", INTERRUPTED, kind="signals", signals=[interrupt] * 2, pause=pause)
    for error in ("ENOSPC", "EROFS", "EACCES", "EIO"):
        # A disk that is full lets files be removed, which is the last that a job does.
        codes = (0, REFUSED) if error == "ENOSPC" else (REFUSED,)
        yield of(f"refused-{error}", codes, kind="refused", error=error)
    yield of("folder-vanished", (0, REFUSED), kind="vanished")
    yield of("file-vanished", (0, REFUSED), kind="vanished", seed=rng.randrange(1000))


def _at_a_moment(job: str, rng: random.Random) -> Iterator[Case]:
    pause = rng.uniform(0, 0.05)
    for name, signals, codes in (
        ("killed-some-time", [signal.SIGKILL], (0, KILLED)),
        ("terminated-some-time", [signal.SIGTERM], (0, *STOPPED)),
        ("interrupted-some-time", [signal.SIGINT], (0, *INTERRUPTED)),
        ("interrupted-twice-some-time", [signal.SIGINT] * 2, (0, *INTERRUPTED)),
    ):
        fault = {"kind": "none", "signals": signals, "pause": pause}
        yield Case(name, job, fault, codes, moment=rng.uniform(0.02, 0.98))


def _of_limits(job: str, rng: random.Random) -> Iterator[Case]:
    # From 1 kB: what it says goes into a file, too.
    size, memory = int(10 ** rng.uniform(3, 5)), int(2 ** rng.uniform(20, 28))
    yield Case("file-too-large", job, {"kind": "file_size", "bytes": size}, (0, REFUSED))
    yield Case("out-of-memory", job, {"kind": "memory", "bytes": memory}, (0, REFUSED))
    yield Case("clocks-jump", job, {"kind": "clock", "seed": rng.randrange(1000)}, (0,))
    yield Case(
        "nobody-takes-its-words",
        job,
        {"kind": "none"},
        (0, REFUSED),
        outputs={"stdout": "/dev/full"},
    )
