"""How a command ends that could not go on: the system, Ctrl-C, memory, our own mistakes."""

import pytest
import torch
from command_line import SMALL, invoke, refused


@pytest.mark.parametrize(("command", "code"), [("train", "--resume"), ("pipeline", "same command")])
def test_ctrl_c_says_what_is_kept(command, code, tmp_path, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("checkpoints.training.run.train_job", interrupt)
    monkeypatch.setattr("checkpoints.run_study", interrupt)
    (tmp_path / "study.toml").write_text("[train]\nepochs = 1\n")
    what = {"train": "ce", "pipeline": tmp_path / "study.toml"}[command]
    result = invoke(command, what, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert code in result.stderr


def test_an_operating_system_error_says_what_and_where(run_folder, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "analysis.json")

    monkeypatch.setattr("spectra.save_analysis", full)
    line = refused("analyze", run_folder, "--classes", "9", "-o", tmp_path, *SMALL)
    assert line == "Error: No space left on device: analysis.json"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"), "2 GiB)"),
        (MemoryError(), "out of memory;"),
    ],
    ids=["card", "processor"],
)
def test_the_end_of_memory_is_one_line(run_folder, tmp_path, monkeypatch, error, said):
    def short(*_: object) -> None:
        raise error

    monkeypatch.setattr("spectra.save_analysis", short)
    line = refused("analyze", run_folder, "--classes", "9", "-o", tmp_path, *SMALL)
    assert line.startswith("Error: out of memory")
    assert said in line


def test_other_runtime_errors_are_ours_to_mend(run_folder, tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("spectra.save_analysis", broken)
    result = invoke("analyze", run_folder, "--classes", "9", "-o", tmp_path, *SMALL)
    assert (result.exit_code, type(result.exception)) == (1, RuntimeError)
