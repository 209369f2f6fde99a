"""What a launcher is asked for: refused in one line where it does not fit."""

import sys

import pytest
from click.testing import CliRunner

from checkpoints.studies.launchers.launcher import Launcher
from checkpoints.studies.launchers.slurm import SlurmQueue
from checkpoints.studies.pipeline import run_study
from cli.options.group import cli
from spectra.errors import InputError


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"name": "pbs"}, "launcher must be one of slurm, local, got 'pbs'"),
        ({"at_once": 0}, "jobs at once must be at least 1, got 0"),
        ({"gpus": -1}, "gpus must be at least 0"),
        ({"hours": float("nan")}, "hours must be in 1/60..8760, got nan"),
        ({"memory_gib": 0.0}, "memory of a job must be in"),
        ({"partition": "gpu\nrm -r x"}, "must be one line of text"),
        ({"parameters": {"qos": "a\nb"}}, "must be one line of text"),
        ({"parameters": {"--qos": "high"}}, "without dashes before it; got '--qos'"),
    ],
)
def test_a_launcher_that_no_cluster_takes_is_refused(given, complaint):
    with pytest.raises(InputError, match=complaint):
        Launcher(**{"name": "slurm", **given})


def test_a_job_has_a_gpu_where_the_device_is_one():
    assert [Launcher("slurm").gpus_for(device) for device in ("cpu", "auto", "cuda")] == [0, 0, 1]
    assert Launcher("slurm", gpus=2).gpus_for("auto") == 2


def test_a_launcher_without_submitit_is_one_line(monkeypatch, study, tmp_path):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r"needs submitit: pip install hessian-spectra\[cluster\]"):
        run_study(study, tmp_path, launcher=Launcher("local"))


def test_slurm_where_there_is_none_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"there is no Slurm here.*take --launcher local"):
        SlurmQueue(Launcher("slurm"), tmp_path, title="x", device="cpu")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--hours", "3"], "need --launcher"),
        (["--launcher", "local", "--partition", "gpu"], "are of --launcher slurm"),
        (["--launcher", "slurm", "--slurm", "qos=a", "--hours", "0"], "hours must be in"),
    ],
)
def test_options_of_a_cluster_that_do_not_fit_end_the_command(study_file, options, complaint):
    done = CliRunner().invoke(cli, ["pipeline", str(study_file), *options])
    assert done.exit_code == 2
    assert complaint in done.output
