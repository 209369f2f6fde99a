import sys
from pathlib import Path

import pytest
import torch
from tiny_trainings import Killed, digests, kill_after, one_step, tiny_job

from checkpoints import Architecture, TrainingJob
from checkpoints.formats.native import load_native
from checkpoints.training.job import checkpoint_path
from checkpoints.training.run import train_job
from spectra.errors import InputError

FACTORIES = """
import torch
from torch import nn

def plain(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes))

def dropout(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, num_classes))

class Tied(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.first = nn.Linear(16, 16)
        self.second = nn.Linear(16, 16)
        self.second.weight = self.first.weight
        self.linear = nn.Linear(16, num_classes)

    def forward(self, x):
        return self.linear(torch.relu(self.second(torch.relu(self.first(x.flatten(1))))))

class Several(nn.Sequential):
    def forward(self, x):
        logits = super().forward(x)
        return {"logits": logits, "hidden": x} if self.training else (logits, x)

def several(num_classes):
    return Several(nn.Flatten(), nn.Linear(16, num_classes))

def few(num_classes):
    return nn.Linear(4, 2)

def two(num_classes):
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 2))

def colour(num_classes):
    return nn.Sequential(nn.Conv2d(3, num_classes, 4), nn.Flatten())

def tied(num_classes):
    return Tied(num_classes)
"""


@pytest.fixture
def user_module(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("modules")
    (folder / "user_training_nets.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(folder)
    yield "user_training_nets"
    sys.modules.pop("user_training_nets", None)


def user_job(folder: Path, name: str, **fields) -> TrainingJob:
    return tiny_job(folder, architecture=Architecture(name, 3, 1, 4), **fields)


@pytest.mark.parametrize("factory", ["plain", "dropout", "tied"])
def test_a_users_network_trains_to_the_same_bytes_whatever_the_global_generator(
    tmp_path, user_module, factory
):
    for state in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            train_job(user_job(tmp_path / str(state), f"{user_module}:{factory}"))
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


@pytest.mark.parametrize("factory", ["plain", "dropout", "tied"])
def test_a_users_network_resumes_to_the_same_bytes(tmp_path, user_module, factory):
    with torch.random.fork_rng(devices=[]):
        whole, resumed = (user_job(tmp_path / n, f"{user_module}:{factory}") for n in "ab")
        torch.manual_seed(1)
        train_job(whole)
        torch.manual_seed(1)
        with pytest.raises(Killed):
            train_job(resumed, on_progress=kill_after(2))
        torch.manual_seed(2)
        train_job(resumed, resume=True)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_initial_weights_of_a_users_network_follow_the_seed(tmp_path, user_module):
    for seed in (0, 1):
        train_job(
            user_job(
                tmp_path / str(seed),
                f"{user_module}:plain",
                recipe=one_step(),
                seed=seed,
                keep_epochs=(0,),
            )
        )
    first, second = (load_native(checkpoint_path(tmp_path / s, 0)).digest() for s in "01")
    assert first != second


def test_a_network_that_returns_more_than_outputs_trains_as_one_that_does_not(
    tmp_path, user_module
):
    for name in ("plain", "several"):
        train_job(user_job(tmp_path / name, f"{user_module}:{name}"))
    last = [load_native(checkpoint_path(tmp_path / name, 5)) for name in ("plain", "several")]
    assert last[0].digest() == last[1].digest()
    assert last[0].metrics == last[1].metrics


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two", r"outputs of shape \(2,\) for an image, and tiny has 3 classes"),
        ("few", r"outputs of shape \(1, 4, 2\) for an image"),
        ("colour", r"cannot take the images of tiny, .* \(1, 4, 4\): RuntimeError"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_the_first_epoch(
    tmp_path, user_module, name, message
):
    with pytest.raises(InputError, match=message) as error:
        train_job(user_job(tmp_path / "run", f"{user_module}:{name}"))
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "run").rglob("*.safetensors"))
