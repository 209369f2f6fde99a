"""No command imports, calls or opens what a stranger's file names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from command_line import refused
from hostile_files import write_checkpoint

from checkpoints import load_checkpoint
from checkpoints.analysis.data_of import data_for
from checkpoints.studies.study import load_study
from spectra.errors import InputError

CANARY = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\nf = x = dict\n"
NAMES = [
    "innocent:f", "innocent.py:f", "./innocent.py:f", "innocent", "innocent.f", "timm:innocent",
    "hf:.", "hf:innocent", "venv.__main__:x", "antigravity:fly", "fifo.py", "os:getcwd",
]  # fmt: skip
# What analyzes one checkpoint, quickly where it does not refuse it.
ANALYSES = [
    ["analyze", "--no-figures"], ["trajectory"], ["images", "--class", "0"],
    ["sam", "--class", "0"], ["theorem", "--class", "0"], ["recurrences", "--classes", "0"],
    ["claim", "alain2019"], ["claim", "ghorbani2019"], ["claim", "papyan2020"],
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, which modules are imported from, with code that leaves a trace."""
    for name in ("innocent.py", "sitecustomize.py", "timm.py", "transformers.py"):
        (tmp_path / name).write_text(CANARY)
    os.mkfifo(tmp_path / "fifo.py")
    os.mkfifo(tmp_path / "fifo.npz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    assert list(tmp_path.glob("*.ran")) == []
    assert "innocent" not in sys.modules


@pytest.mark.parametrize("arch", NAMES)
def test_a_recorded_network_is_a_hint(arch, folder):
    found = write_checkpoint(folder / "x.safetensors", arch)
    told = refused("checkpoints", "inspect", found)
    assert arch in told
    if ":" in arch:
        assert f"code is not run because a file names it; name it yourself with --arch {arch}" in (
            told
        )
    with pytest.raises(InputError):
        load_checkpoint(found).model()


@pytest.mark.parametrize("command", ANALYSES, ids=" ".join)
def test_every_command_refuses_a_recorded_network(command, folder):
    found = write_checkpoint(folder / "checkpoints" / "epoch-0001.safetensors", "innocent:f")
    assert "--arch innocent:f" in refused(*command, found, "--data", "digits", "-o", folder / "out")


def test_training_from_a_checkpoint_does_not_run_its_network(folder):
    found = write_checkpoint(folder / "x.safetensors", "innocent:f", epoch=1)
    told = refused("train", "ce", "--from", found, "--epochs", "2", "-o", folder / "out")
    assert "innocent:f" in told


@pytest.mark.parametrize(
    "data",
    [
        {"source": "innocent:f", "name": "x"},
        {"source": "own code", "name": "innocent.py:f"},
        {"source": "folder", "name": "."},
        {"source": "npz", "name": "fifo"},
        {"source": "npz", "name": "fifo", "test_name": "fifo"},
        {"source": "npz", "name": "../../etc/fifo"},
        {"source": "npz:fifo.npz"},
        {"source": "folder:/"},
        {"source": "cifar10:/"},
    ],
    ids=str,
)
def test_a_recorded_source_is_a_hint(data, folder, monkeypatch):
    found = write_checkpoint(folder / "x.safetensors", data=data)
    for place in (None, str(folder)):
        if place:
            monkeypatch.setenv("SPECTRA_DATA", place)
        told = refused("analyze", found, "-o", folder / "out")
        assert "because a file names them; give it yourself, such as --data" in told


def test_recorded_npz_files_are_found_in_the_folder_that_the_user_names(folder, monkeypatch):
    named = folder / "data"
    named.mkdir()
    np.savez(named / "mine.npz", images=np.zeros((10, 8, 8), np.uint8), labels=np.arange(10))
    found = load_checkpoint(
        write_checkpoint(folder / "x.safetensors", data={"source": "npz", "name": "mine"})
    )
    monkeypatch.chdir(named)  # which is not to name it
    with pytest.raises(InputError, match=r"give it yourself, such as --data npz:mine\.npz"):
        data_for(found)
    monkeypatch.setenv("SPECTRA_DATA", str(named))
    assert data_for(found)[0].name == "mine"


@pytest.mark.parametrize(
    "text",
    [
        '[train]\narch = "innocent:f"',
        '[train]\narch = "innocent.py:f"',
        '[data]\nsource = "innocent:f"',
        '[data]\nsource = "innocent.py:f"',
        '[train]\nrecipes = ["innocent:f"]',
        '[train]\nrecipes = ["innocent.py:f"]',
        '[train]\noptimizer = "innocent:f"',
        '[train]\nloss = "innocent:f"',
    ],
)
def test_a_study_runs_no_code_that_it_names(text, folder):
    (folder / "study.toml").write_text(text)
    assert "innocent" in refused("pipeline", folder / "study.toml", "-o", folder / "out")
    assert not (folder / "out").exists()


def test_what_a_study_names_gives_way_to_what_the_user_names(folder):
    path = folder / "study.toml"
    path.write_text('[train]\narch = "innocent:f"\n[data]\nsource = "innocent:f"')
    study = load_study(path, arch="resnet20", source="digits")
    assert (study.arch, study.data.source) == ("resnet20", "digits")
    with pytest.raises(InputError, match=r"train\.arch is innocent:f, and code is not run"):
        load_study(path, source="digits")
    with pytest.raises(InputError, match=r"data.source is innocent:f, .* --data innocent:f"):
        load_study(path, arch="resnet20")


@pytest.mark.parametrize("text", ['base = "innocent:f"', 'optimizer = "innocent:f"'])
def test_a_recipe_runs_no_code_that_it_names(text, folder):
    (folder / "mine.toml").write_text(text)
    assert "innocent" in refused("train", folder / "mine.toml", "-o", folder / "out")


def test_a_folder_of_weights_names_networks_of_installed_libraries_alone(folder):
    for plain in (
        {"architecture": "innocent:f"},
        {"architecture": "x", "model_args": {"pretrained_cfg_overlay": {"file": "innocent.py"}}},
        {"architectures": ["innocent.f"], "auto_map": {"AutoConfig": "innocent--innocent.f"}},
    ):
        weights = folder / "weights"
        weights.mkdir(exist_ok=True)
        safetensors.torch.save_file({"a.weight": torch.zeros(3, 3)}, weights / "model.safetensors")
        (weights / "config.json").write_text(json.dumps(plain))
        (weights / "innocent.py").write_text(CANARY)
        sys.path.remove(str(folder))
        refused("checkpoints", "inspect", weights)
        sys.path.insert(0, str(folder))
        assert not (weights / "innocent.ran").exists()


def test_a_stored_result_runs_nothing(folder):
    (folder / "analysis.json").write_text('{"format": "innocent:f", "schema": "innocent:f"}')
    refused("plot", folder / "analysis.json")
    refused("report", folder / "analysis.json")
    refused("check-spectrum", folder / "analysis.json")
    refused("claim", "ghorbani2019", folder / "analysis.json")


def test_modules_of_the_current_folder_stand_in_for_none(folder):
    for name in ("torch", "click", "logging", "numpy", "rich"):
        (folder / f"{name}.py").write_text(CANARY)
    (folder / "sitecustomize.py").unlink()  # Python itself imports it, before any code of ours
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "checkpoints", "inspect", "nothing"],
        env={**os.environ, "PYTHONPATH": root}, cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr


def test_a_hint_that_is_copied_into_a_shell_runs_nothing(folder):
    evil = "$(touch x.ran);`touch y.ran`:f"
    told = refused("checkpoints", "inspect", write_checkpoint(folder / "x.safetensors", evil))
    assert f"--arch '{evil}'" in told
    data = {"source": "npz", "name": evil}
    told = refused("analyze", write_checkpoint(folder / "x.safetensors", data=data))
    assert f"--data 'npz:{evil}.npz'" in told
