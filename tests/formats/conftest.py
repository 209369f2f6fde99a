from pathlib import Path

import pytest
import torch
from foreign_files import SGD_FOLDER, prefixed, state
from native_files import complete

from checkpoints import save_native


@pytest.fixture
def save(tmp_path):
    def write(content, name="net.pth", **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, path, **options)
        return path

    return write


@pytest.fixture
def reference(save):
    """A file with the keys, prefix and place of the published code."""

    def write(folder=SGD_FOLDER, file="200_ckpt.pth.tar", head="linear", classes=10, **changes):
        content = {
            "epoch": 200,
            "arch": "resnet32",
            "state_dict": prefixed(state("resnet32", classes, head=head)),
            "best_acc1": torch.tensor(75.5),
            "optimizer": {"state": {}, "param_groups": [{"lr": 1e-5, "params": [0]}]},
        }
        return save({**content, **changes}, f"{folder}/{file}")

    return write


@pytest.fixture
def written(tmp_path) -> Path:
    save_native(tmp_path / "a.safetensors", complete())
    return tmp_path / "a.safetensors"
