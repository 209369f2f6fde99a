"""Data that a function of the user's own returns."""

import sys

import numpy as np
import pytest
import torch

from checkpoints.data import load_data
from checkpoints.data.dataset import AS_GIVEN
from spectra.errors import InputError

SOURCE = """
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

IMAGES = (np.arange(6 * 3 * 16) % 251).astype(np.uint8).reshape(6, 3, 4, 4)
LABELS = np.array([0, 1, 2, 0, 1, 2])

def pixels():
    return IMAGES, LABELS

def floats(shift=0.0):
    return torch.from_numpy(IMAGES / 255 - shift).float(), torch.from_numpy(LABELS)

def splits():
    return floats(), floats(0.5)

def tensors():
    return TensorDataset(*floats())

def loader():
    return DataLoader(tensors(), batch_size=4)

def two():
    return tensors(), tensors()

class Own(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return torch.from_numpy(IMAGES[i] / 255).float(), int(LABELS[i])

class Broken(Own):
    def __getitem__(self, i):
        raise KeyError("no such picture")

def with_a_graph():
    return torch.from_numpy(IMAGES).float().requires_grad_() / 255, LABELS

def token_lists():
    return {"input_ids": [[n, 7] for n in range(6)], "mask": [[1, 1]] * 6}, list(LABELS)

def ragged():
    return {"input_ids": [[1] * (1 + n) for n in range(6)]}, list(LABELS)

def needs(path):
    return None

def nothing():
    return None

def broken():
    raise OSError("the disk is on fire")
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    (tmp_path / "own_data_of_a_test.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "own_data_of_a_test.py"
    sys.modules.pop("own_data_of_a_test", None)


def wanted():
    images = (np.arange(6 * 3 * 16) % 251).astype(np.uint8).reshape(6, 3, 4, 4)
    return torch.from_numpy(images)


@pytest.mark.parametrize("name", ["floats", "tensors", "loader", "Own", "splits", "two"])
def test_what_a_function_returns_is_taken_as_it_is(file, name):
    data = load_data(f"{file}:{name}")
    # IMAGES / 255 is rounded to float32 in the file and here
    assert torch.equal(data.train.inputs, (wanted().double() / 255).float())
    assert data.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert (data.test is not None) == (name in ("splits", "two"))
    assert data.normalisation == AS_GIVEN


def test_samples_that_a_function_computed_with_a_graph_are_without_it(file):
    data = load_data(f"{file}:with_a_graph")
    assert not data.train.inputs.requires_grad
    assert len(data.digest()) == 64


def test_lists_of_a_tokenizer_are_tensors(file):
    inputs = load_data(f"{file}:token_lists").train.inputs
    assert inputs[:]["input_ids"].tolist() == [[n, 7] for n in range(6)]
    assert inputs[:]["mask"].dtype == torch.int64


def test_pixels_are_images_as_those_of_files(file):
    assert torch.equal(load_data(f"{file}:pixels").train.images, wanted())


def test_a_module_of_the_current_folder_is_found(file):
    assert load_data("own_data_of_a_test:pixels").name == "own_data_of_a_test:pixels"


def test_arguments_stand_in_brackets(file):
    data = load_data(f"{file}:floats(shift=0.5)")
    assert float(data.train.inputs.min()) == -0.5


def test_neither_paths_nor_what_was_typed_is_recorded_as_a_source_to_look_for(file, tmp_path):
    description = load_data(f"{file}:pixels").description
    assert description["source"] == "own code"
    assert str(tmp_path) not in str(description)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("needs", r"needs path to be called; write .*:needs\(path=\.\.\.\)'"),
        ("nothing", r"must return \(inputs, labels\), a Dataset"),
        ("ragged", "samples of different lengths; pad them"),
        ("broken", r"own_data_of_a_test\.py:\d+: OSError: the disk is on fire"),
        ("absent", "has no absent; it has"),
        ("Broken", r"cannot be read: .*own_data_of_a_test\.py:\d+: KeyError: 'no such picture'"),
    ],
)
def test_what_goes_wrong_is_one_line(file, name, message):
    with pytest.raises(InputError, match=message) as error:
        load_data(f"{file}:{name}")
    assert "\n" not in str(error.value)
