"""Two processes on one folder: one does the work, the other says who holds it or finds it done."""

import random
import signal

import pytest
from forked import check_ending
from injected import stop_after
from jobs import JOBS, OUT, written

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("job", JOBS)
def test_two_at_once_end_in_the_bytes_of_one(job, number, server, whole, place):
    folders = {name: whole(name).folder for name in JOBS[job].needs}
    pause = random.Random(f"{job} {number}").uniform(0, 0.8) * whole(job).seconds
    command, again = (JOBS[job].command(folders, again=more) for more in (False, True))
    first = server.start(command, place)
    stop_after(first.pid, pause, [], 0)
    second = server.start(again, place)
    ends = [server.wait(one) for one in (first, second)]
    for ended in ends:
        check_ending(ended, 0, 2)
    assert 0 in [ended.code for ended in ends]
    for ended in ends:
        assert ended.code == 0 or "in use by" in ended.said, ended.said
    assert written(place / OUT) == whole(job).files


@pytest.mark.parametrize("job", JOBS)
def test_a_lock_of_a_killed_process_holds_nobody_up(job, server, whole, place):
    folders = {name: whole(name).folder for name in JOBS[job].needs}
    first = server.start(JOBS[job].command(folders), place)
    stop_after(first.pid, 0.5 * whole(job).seconds, [signal.SIGKILL], 0)
    second = server.start(JOBS[job].command(folders, again=True), place)
    check_ending(server.wait(first), -signal.SIGKILL, 0)
    check_ending(server.wait(second), 0)
    assert written(place / OUT) == whole(job).files
