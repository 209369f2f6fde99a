"""A class whose loss is NaN is named in the end, and the others are there, in any order."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from command_line import invoke, unfolded

from spectra import Analysis, NonFiniteError, analyze_classes, load_analysis

BAD, CLASSES = 7, 10
# A network whose outputs are NaN for an image of one colour.
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Tanh(), nn.Linear(3, 10))

    def forward(self, x):
        of_one_colour = x.flatten(1).var(1, keepdim=True) == 0
        return self.body(x) + torch.where(of_one_colour, torch.nan, 0.0)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network's code and weights, and images of ten classes, one of which it cannot take."""
    folder = tmp_path_factory.mktemp("without_numbers")
    (folder / "one_colour.py").write_text(NET)
    rng, labels = np.random.default_rng(0), np.arange(60) % CLASSES
    images = rng.integers(0, 256, (60, 4, 4, 1), dtype=np.uint8)
    images[labels == BAD] = 128
    np.savez(folder / "images.npz", images=images, labels=labels)
    torch.manual_seed(0)
    torch.save(network(folder).state_dict(), folder / "one_colour.pth")
    return folder


def network(folder):
    spec = importlib.util.spec_from_file_location("one_colour", folder / "one_colour.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Net()


@pytest.mark.parametrize("classes", [[5, 6, BAD, 8], [BAD, 8, 9], [8, 9, BAD], list(range(10))])
def test_the_others_are_there_wherever_it_stands(folder, classes):
    stored = np.load(folder / "images.npz")
    images = torch.from_numpy(stored["images"]).permute(0, 3, 1, 2) / 255
    data = images, torch.from_numpy(stored["labels"])
    with pytest.raises(NonFiniteError, match=r"class 7: the loss of 6 of (the first )?6") as caught:
        analyze_classes(network(folder), data, classes, num_probes=0, bending=False)
    assert isinstance(caught.value.found, Analysis)
    assert [r.label for r in caught.value.found.records] == [str(c) for c in classes if c != BAD]


def test_a_network_without_numbers_is_said_after_a_few_classes(folder):
    model = network(folder)
    with torch.no_grad():
        model.body[1].weight[0, 0] = torch.nan
    data = torch.rand(60, 1, 4, 4), torch.arange(60) % CLASSES
    with pytest.raises(NonFiniteError, match=r"^class 0: .*check the weights") as caught:
        analyze_classes(model, data, list(range(CLASSES)), num_probes=0)
    assert caught.value.found is None


def asked(folder, out, *classes):
    return (
        "analyze", folder / "one_colour.pth", "--arch", f"{folder / 'one_colour.py'}:Net",
        "--data", f"npz:{folder / 'images.npz'}", "--classes", *classes, "--num-probes", "0",
        "--no-bending", "--no-figures", "-o", out,
    )  # fmt: skip


def test_the_command_line_writes_the_others_and_ends_with_2(folder, tmp_path):
    result = invoke(*asked(folder, tmp_path / "found", "6-8"))
    assert result.exit_code == 2, result.output
    assert "class 7: the loss of 6 of 6 images is NaN" in unfolded(result.stderr)
    found = load_analysis(tmp_path / "found" / "analysis.json")
    assert [record.label for record in found.records] == ["6", "8"]
    assert any("class 7" in note for note in found.checkpoint.notes)


@pytest.mark.distributed
def test_ranks_leave_the_others_too_and_one_says_which_has_none(folder, tmp_path):
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    words = ("--nproc-per-node", "2", "-m", "cli", *asked(folder, tmp_path / "found", "7,5,6,8,9"))
    done = subprocess.run(
        [*launcher, *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(said) == 1, done.stderr
    assert "class 7" in said[0]
    found = load_analysis(tmp_path / "found" / "analysis.json")
    assert [record.label for record in found.records] == ["5", "6", "8", "9"]
