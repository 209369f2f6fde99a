"""The fork server, and what each job writes undisturbed."""

import functools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from forked import ForkServer
from jobs import JOBS, OUT, prepare, written


@dataclass(frozen=True)
class Whole:
    """A job that nothing disturbed.

    Attributes:
        folder: what it wrote.
        files: their digests.
        write_points: how many it passed.
        seconds: how long it took.
    """

    folder: Path
    files: dict[str, str]
    write_points: int
    seconds: float


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def whole(server, tmp_path_factory) -> Callable[[str], Whole]:
    """Return what a job, by its name, is undisturbed; it is run when it is first asked for."""
    place = tmp_path_factory.mktemp("whole")

    @functools.cache
    def run(name: str) -> Whole:
        needed = {other: run(other).folder for other in JOBS[name].needs}
        folder = prepare(place / name)
        record = place / f"{name}.points"
        record.touch()
        begun = time.monotonic()
        fault = {"kind": "none", "record": str(record), "root": str(folder / OUT)}
        ended = server.run(JOBS[name].command(needed), folder, fault)
        assert ended.code == 0, ended.said
        points = len(record.read_text().splitlines())
        return Whole(folder / OUT, written(folder / OUT), points, time.monotonic() - begun)

    return run


@pytest.fixture
def place(tmp_path) -> Iterator[Path]:
    """A folder for a job, which goes when the test has passed."""
    yield prepare(tmp_path / "job")
    shutil.rmtree(tmp_path / "job", ignore_errors=True)
