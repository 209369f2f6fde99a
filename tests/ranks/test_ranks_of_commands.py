"""Commands over ranks: one process's bytes, and what is left where a rank is killed."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from launching import LAUNCHER, environment, torchrun
from two_hosts import NoHostsError, TwoHosts

import checkpoints

pytestmark = pytest.mark.distributed

_ASKED = (
    *("-m", "cli", "analyze", "bundled:digits/ce-drw", "--class", "6,7,8,9", "--num-probes", "1"),
    *("--num-steps", "12", "--no-bending", "--no-figures"),
)
_LONG = (*_ASKED[:4], "--num-probes", "9", "--num-steps", "250", "--no-figures")
# What a rank says last; notes and what torch says are other lines.
_OF_RANKS = re.compile(r"(Error: |(rank 1: )?(rank \d|the place) )")
# The bar is a minute; what a machine under other load takes to start is not counted.
_END_WITHIN = 60


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files that one process writes."""
    folder = tmp_path_factory.mktemp("alone") / "out"
    subprocess.run(
        [sys.executable, *_ASKED, "-o", str(folder)],
        env=environment(),
        check=True,
        capture_output=True,
    )
    return _bytes(folder)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[TwoHosts]:
    """Return two hosts that one cable joins."""
    two = TwoHosts(tmp_path)
    try:
        two.begin()
    except NoHostsError as error:
        pytest.skip(f"no network namespaces here: {error}")
    yield two
    two.end()


def _ended(jobs: list[subprocess.Popen[str]], within: float) -> list[list[str]]:
    """Return what the ranks of each job have said, once all jobs have failed."""
    until = time.monotonic() + within
    said = [job.communicate(timeout=max(1, until - time.monotonic()))[1] for job in jobs]
    assert all(job.returncode not in (0, None) for job in jobs)
    return [[x for x in text.splitlines() if _OF_RANKS.match(x)] for text in said]


def _children(process: int) -> list[int]:
    try:
        return [
            int(p) for p in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    except FileNotFoundError:
        return []


def test_two_ranks_write_the_bytes_of_one_process(alone, tmp_path: Path):
    done = torchrun(2, *_ASKED, "-o", str(tmp_path / "out"), timeout=120)
    assert done.returncode == 0, done.stderr
    assert _bytes(tmp_path / "out") == alone
    assert done.stdout.count("written:") == 1


def test_ranks_on_two_hosts_write_the_bytes_of_one_process(alone, hosts, tmp_path: Path):
    jobs = [hosts.torchrun(host, *_ASKED, "-o", str(tmp_path / "out")) for host in (0, 1)]
    said = [job.communicate(timeout=120)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], said
    assert _bytes(tmp_path / "out") == alone


def test_a_cut_cable_ends_the_ranks_of_both_hosts_in_a_line_each(hosts, tmp_path: Path):
    jobs = [hosts.torchrun(host, *_LONG, "-o", str(tmp_path / "out")) for host in (0, 1)]
    while not (tmp_path / "out" / "units").exists():  # both have joined by then
        assert [job.poll() for job in jobs] == [None, None]
        time.sleep(0.1)
    hosts.cut()
    (first,), (second,) = _ended(jobs, _END_WITHIN)
    assert "on second) has died: killed, perhaps for want of memory, or the machine is" in first
    assert "its machine is out of reach; give the same command again" in second


def test_a_file_that_one_host_lacks_ends_the_ranks_of_both_hosts(hosts, tmp_path: Path):
    hosts.hide(1, Path(checkpoints.__file__).parent / "bundled")
    jobs = [hosts.torchrun(host, *_LONG, "-o", str(tmp_path / "out")) for host in (0, 1)]
    first, second = _ended(jobs, _END_WITHIN)
    (line,) = second
    assert line.startswith("Error: ")
    assert len(first) <= 1  # rank 0 sees it by a sum that fails, or after five seconds


@pytest.mark.parametrize("seed", range(int(os.environ.get("SPECTRA_KILLS", "2"))))
def test_a_killed_rank_ends_the_job_in_one_line_and_a_restart_makes_the_rest(alone, tmp_path, seed):
    draw = random.Random(seed)
    victim, again, share = draw.choice([0, 1]), draw.choice([1, 3]), ("losses", "images")[seed % 2]
    shared = (*_ASKED, "--share", share, "-o", str(tmp_path / "out"))
    job = subprocess.Popen(
        [*LAUNCHER, "--nproc-per-node", "2", *shared],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    units = tmp_path / "out" / "units"
    begun, enough = False, draw.randint(0, 3)
    while job.poll() is None and not (begun and len(list(units.glob("*.json"))) >= enough):
        begun = units.exists()  # both have joined by then
        time.sleep(0.05)
    time.sleep(draw.uniform(0, 1))
    ranks = _children(job.pid)
    assert len(ranks) == 2, job.communicate()
    os.kill(ranks[victim], signal.SIGKILL)
    killed = time.monotonic()
    _, said = job.communicate(timeout=2 * _END_WITHIN)
    assert time.monotonic() - killed < _END_WITHIN
    assert job.returncode != 0
    lines = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, said
    assert f"rank {victim} (process {ranks[victim]} on " in lines[0]
    assert "has died" in lines[0]
    kept = len(list(units.glob("*.json")))
    ended = time.monotonic() - killed
    print(f"{share}: rank {victim} killed, ended in {ended:.1f} s, {kept} losses kept")
    if share == "images":  # sums of two ranks, and then of others, differ by rounding
        return
    command = [sys.executable] if again == 1 else [*LAUNCHER, "--nproc-per-node", str(again)]
    subprocess.run(
        [*command, *_ASKED, "-o", str(tmp_path / "out")],
        env=environment(),
        check=True,
        capture_output=True,
    )
    assert _bytes(tmp_path / "out") == alone
