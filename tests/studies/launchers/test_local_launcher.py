"""``--launcher local``: jobs as on a cluster, as processes of this machine."""

import subprocess
import sys

import pytest

from checkpoints.studies.pipeline import run_study
from checkpoints.studies.study import load_study

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
