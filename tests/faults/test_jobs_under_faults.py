"""Whatever fault strikes a command: one line, no wrong file, and the same command ends the same."""

from pathlib import Path

import pytest
from cases import Case, drawn, kills, quick_sample
from forked import check_ending
from injected import stop_after
from jobs import JOBS, OUT, finished_units, grows, written

_SAMPLE = quick_sample()


def params() -> list:
    return [
        pytest.param(case, id=case.name, marks=() if case.name in _SAMPLE else pytest.mark.faults)
        for case in (*kills(), *drawn())
    ]


@pytest.mark.parametrize("case", params())
def test_a_disturbed_job_is_carried_on_to_the_same_bytes(case, server, whole, place):
    undisturbed = whole(case.job)
    if case.fault.get("at", 0) >= undisturbed.write_points:
        pytest.skip(f"{case.job} has {undisturbed.write_points} write points")
    ended = disturbed(case, server, whole, place)
    check_ending(ended, *case.codes)
    there = {path: sha for path, sha in written(place / OUT).items() if not grows(path)}
    assert there.items() <= undisturbed.files.items()
    if ended.code == 0 and case.fault["kind"] == "refused":
        assert written(place / OUT) == undisturbed.files  # before anything is run again
    finished = finished_units(place / OUT)
    again = server.run(JOBS[case.job].command(folders(whole, case.job), again=True), place)
    check_ending(again, 0)
    assert written(place / OUT) == undisturbed.files
    assert finished.items() <= finished_units(place / OUT).items()


@pytest.mark.faults
@pytest.mark.parametrize("job", JOBS)
def test_every_write_point_of_a_job_is_killed_at(job, whole):
    assert whole(job).write_points <= JOBS[job].write_points


def disturbed(case: Case, server, whole, place: Path):
    """Run a job and let its fault strike; return how it ended."""
    fault = {**case.fault, "root": str(place / OUT)}
    if case.share is not None:
        fault["at"] = int(case.share * whole(case.job).write_points)
    command = JOBS[case.job].command(folders(whole, case.job))
    started = server.start(command, place, fault, **case.outputs)
    if case.moment is not None:
        seconds = case.moment * whole(case.job).seconds
        stop_after(started.pid, seconds, case.fault["signals"], case.fault["pause"])
    return server.wait(started)


def folders(whole, job: str) -> dict[str, Path]:
    """Return the folders of the jobs whose results ``job`` reads."""
    return {name: whole(name).folder for name in JOBS[job].needs}
