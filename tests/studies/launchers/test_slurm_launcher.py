"""A study on a cluster: a job whose time is over, one that fails, and one that waits meanwhile."""

import logging
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm

from checkpoints.studies.launchers.launcher import Launcher
from checkpoints.studies.launchers.slurm import SlurmQueue
from checkpoints.studies.pipeline import run_study
from spectra.errors import InputError

pytestmark = pytest.mark.distributed
LAUNCHER = Launcher(
    "slurm", at_once=7, cpus=1, hours=0.5, partition="short", parameters={"qos": "high"}
)


@dataclass
class Story:
    """What came of three calls of one command."""

    scripts: list[list[str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    results: bytes = b""
    log: str = ""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    cluster = FakeSlurm(tmp_path_factory.mktemp("slurm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", cluster.path)
        patch.setattr(SlurmQueue, "look", 0.5)
        patch.setattr(SlurmQueue, "patience", 3.0)
        yield cluster


@pytest.fixture(scope="module")
def story(slurm, long_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("story") / "out"
    (folder / "training").mkdir(parents=True)
    in_the_way = folder / "training" / "ce-seed0"
    in_the_way.touch()
    told = Story()
    listener = logging.Handler()
    listener.emit = lambda record: told.said.append(record.getMessage())
    logging.getLogger("checkpoints").addHandler(listener)

    def call(on_progress=None):
        before = len(slurm.scripts)
        try:
            run_study(long_study, folder, launcher=LAUNCHER, on_progress=on_progress)
            told.ends.append("")
        except (InputError, KeyboardInterrupt) as error:
            told.ends.append(f"{type(error).__name__}: {error}")
        told.scripts.append(slurm.scripts[before:])

    def stop(*_):
        raise KeyboardInterrupt

    (slurm.home / "hold").touch()
    call(stop)
    threading.Thread(target=_let_go_and_interrupt, args=(slurm, folder), daemon=True).start()
    call()
    in_the_way.unlink()
    call()
    logging.getLogger("checkpoints").removeHandler(listener)
    told.results = (folder / "results.json").read_bytes()
    told.log = "".join(path.read_text() for path in folder.glob("jobs/logs/*/100_0_0_log.*"))
    return told


def _let_go_and_interrupt(slurm: FakeSlurm, folder: Path) -> None:
    """Let the jobs run, and tell the first, while it trains, that its time is over."""
    (slurm.home / "hold").unlink()
    until = time.monotonic() + 120
    while not list(folder.glob("training/ce-drw-seed0/resume*")) and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(slurm.pid("100_0"), signal.SIGUSR2)


def test_trainings_are_one_array_with_what_was_asked_for(story):
    (script,) = story.scripts[0]
    for line in ("array=0-1%2", "partition=short", "qos=high", "time=30", "cpus-per-task=1",
                 "mem=16384M", "requeue", "job-name=spectra-small"):  # fmt: skip
        assert f"#SBATCH --{line}\n" in script
    assert "export OMP_NUM_THREADS=1\n" in script


def test_ctrl_c_says_what_goes_on_and_how_to_end_it(story):
    assert story.ends[0] == "KeyboardInterrupt: "
    assert any(said.startswith("2 jobs wait or run on in Slurm's queue") for said in story.said)
    assert any("'scancel 100' ends them" in said for said in story.said)


def test_the_same_command_takes_up_with_jobs_that_wait(story):
    assert "taken up from an earlier call: 2 jobs" in story.said
    assert [script.count("array=") for script in story.scripts[1]] == [0]  # analyses of one run


def test_a_step_that_fails_is_named_with_its_job_and_log(story):
    assert story.ends[1].startswith("InputError: 1 job failed: training of ce-seed0, and 1 that")
    (said,) = [said for said in story.said if "failed" in said]
    assert said.startswith("training of ce-seed0, job 100_1, failed: ")
    log = Path(said.rpartition(" ")[2])
    assert log.name == "100_1_0_log.err"
    assert "is no folder" in log.read_text()


def test_a_training_whose_time_is_over_goes_on_in_the_same_job(story):
    assert "Requeued job 100_0" in story.log
    assert story.log.count("Starting with JobEnvironment") == 2


def test_a_study_by_slurm_has_the_bytes_of_one_that_ran_alone(story, long_alone):
    assert story.ends[2] == ""
    assert story.results == long_alone


def test_a_queue_that_does_not_answer_hands_nothing_out(slurm, tmp_path):
    queue = SlurmQueue(LAUNCHER, tmp_path, title="x", device="cpu")
    (slurm.home / "silent").touch()
    with pytest.raises(InputError, match="squeue does not say which jobs run: slurm_load_jobs"):
        queue.alive(["100_0"])
    (slurm.home / "silent").unlink()


def test_what_sbatch_refuses_is_one_line(slurm, tmp_path, monkeypatch):
    queue = SlurmQueue(LAUNCHER, tmp_path, title="x", device="cpu")
    (tmp_path / "bin").mkdir()
    refusing = tmp_path / "bin" / "sbatch"
    refusing.write_text(
        "#!/bin/sh\necho sbatch: error: invalid partition specified: short >&2\nexit 1"
    )
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{refusing.parent}:{os.environ['PATH']}")
    with pytest.raises(InputError, match="sbatch has taken no jobs: sbatch: error: invalid part"):
        queue.submit([print])


def test_how_a_job_ended_without_a_word_is_what_sacct_says(slurm, tmp_path):
    queue = SlurmQueue(LAUNCHER, tmp_path, title="x", device="cpu")
    (slurm.home / "900_0").mkdir()
    (slurm.home / "900_0" / "state").write_text("OUT_OF_MEMORY")
    assert queue.state("900") == "OUT_OF_MEMORY"
    assert queue.alive(["900"]) == set()
    assert queue.state("901") == ""
