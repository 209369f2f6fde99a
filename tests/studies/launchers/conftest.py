"""A study of two small trainings, and what it comes to where nobody hands it out."""

from dataclasses import replace
from pathlib import Path

import pytest

from checkpoints.studies.pipeline import run_study
from checkpoints.studies.study import Study, load_study

STUDY = """
[data]
source = "digits"
n_max = 12
imbalance_factor = 0.2
[train]
recipes = ["ce-drw", "ce"]
epochs = 1
batch_size = 32
[analyze]
classes = "9"
num_probes = 0
max_steps = 2
proof = false
"""


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def study(study_file: Path) -> Study:
    return load_study(study_file)


@pytest.fixture(scope="module")
def alone(study: Study, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """results.json of the study where it is run as it is."""
    folder = tmp_path_factory.mktemp("alone")
    run_study(study, folder)
    return (folder / "results.json").read_bytes()


@pytest.fixture(scope="module")
def long_study(study: Study) -> Study:
    """The study with a training that takes seconds."""
    return replace(study, recipe_overrides={"ce-drw": {"epochs": 60}})


@pytest.fixture(scope="module")
def long_alone(long_study: Study, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("alone")
    run_study(long_study, folder)
    return (folder / "results.json").read_bytes()
