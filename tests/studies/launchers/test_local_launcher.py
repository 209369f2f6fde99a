"""``--launcher local``: jobs as on a cluster, as processes of this machine."""

import functools
import subprocess
import sys

import pytest

from checkpoints.studies.launchers.launcher import Launcher
from checkpoints.studies.launchers.local import LocalQueue
from checkpoints.studies.pipeline import run_study
from checkpoints.studies.study import load_study
from spectra.errors import InputError

pytestmark = pytest.mark.distributed


def test_a_study_by_local_jobs_has_the_bytes_of_one_that_ran_alone(study_file, tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(study_file.read_text().replace('["ce-drw", "ce"]', '["ce"]'))
    run_study(load_study(path), tmp_path / "alone")
    command = [
        *(sys.executable, "-m", "cli.main", "pipeline", str(path), "-o", str(tmp_path / "jobs")),
        *("--launcher", "local", "--jobs", "2", "--hours", "1"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    alone = (tmp_path / "alone" / "results.json").read_bytes()
    assert (tmp_path / "jobs" / "results.json").read_bytes() == alone


def test_jobs_at_once_have_gpus_of_their_own(tmp_path, monkeypatch):
    def told(name, seconds):
        command = f"echo $CUDA_VISIBLE_DEVICES > {tmp_path / name}; sleep {seconds}"
        return functools.partial(subprocess.check_call, ["sh", "-c", command])

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4,5,6,7")
    queue = LocalQueue(Launcher("local", gpus=2), tmp_path, device="auto", at_once=2)
    queue.submit([told("a", 5), told("b", 0)])
    queue.submit([told("c", 0)])  # waits for the second
    queue.close()
    assert [(tmp_path / name).read_text() for name in "abc"] == ["3,4\n", "5,6\n", "5,6\n"]


def test_more_gpus_than_there_are_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4,5")
    with pytest.raises(InputError, match="jobs at once need 4 GPUs, and CUDA_VISIBLE_DEVICES is"):
        LocalQueue(Launcher("local", gpus=2), tmp_path, device="auto", at_once=2)
