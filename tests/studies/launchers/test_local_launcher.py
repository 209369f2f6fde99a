"""``--launcher local``: jobs as on a cluster, as processes of this machine."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.distributed


def test_a_study_by_local_jobs_has_the_bytes_of_one_that_ran_alone(study_file, tmp_path, alone):
    command = [
        *(sys.executable, "-m", "cli.main", "pipeline", str(study_file), "-o", str(tmp_path / "o")),
        *("--launcher", "local", "--jobs", "2", "--hours", "1"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o" / "results.json").read_bytes() == alone
