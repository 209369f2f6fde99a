"""Results as labelled arrays, and their file."""

import json
from dataclasses import replace

import numpy as np
import pytest
from drawn_results import analysis, record_of

from spectra import InputError, load_arrays, save_arrays, to_arrays, to_xarray


def at(epoch, name="run", **rest):
    one = analysis(
        record_of(None, "8", low=-float(epoch)), record_of(None, "2"), epoch=epoch, **rest
    )
    return replace(one, checkpoint=replace(one.checkpoint, name=name))


@pytest.fixture
def arrays():
    return to_arrays([at(200), at(100)])


@pytest.fixture
def file(arrays, tmp_path):
    save_arrays(tmp_path / "arrays.npz", arrays)
    return tmp_path / "arrays.npz"


def rewritten(file, **held):
    """Write the file again with other arrays; None leaves one out."""
    with np.load(file) as there:
        changed = {name: there[name] for name in there.files} | held
    np.savez(file, **{name: array for name, array in changed.items() if array is not None})
    return file


def test_a_quantity_has_an_array_over_what_sets_results_apart_and_the_class(arrays):
    assert {name: along.tolist() for name, along in arrays.coords.items()} == {
        "epoch": [100, 200], "class": [2, 8],
    }  # fmt: skip
    assert arrays.arrays["lambda_min"].values[:, 1].tolist() == [-100.0, -200.0]
    assert arrays.arrays["lambda_min"].units == "loss / parameter²"


def test_the_names_of_checkpoints_are_a_dimension_only_where_nothing_else_tells_them_apart():
    apart = to_arrays([at(100, "a", seed=1), at(100, "b", seed=2)])
    alike = to_arrays([at(100, "a"), at(100, "b")])
    assert list(apart.coords) == ["seed", "epoch", "class"]
    assert list(alike.coords) == ["checkpoint", "epoch", "class"]


def test_arrays_are_what_a_data_set_of_xarray_holds(arrays):
    held = to_xarray([at(200), at(100)])
    assert held.identical(arrays.to_xarray())


def test_a_file_of_arrays_reads_as_it_was_written(arrays, file):
    read = load_arrays(file)
    assert read.attrs == arrays.attrs
    assert list(read.arrays) == list(arrays.arrays)
    for name, one in arrays.arrays.items():
        assert (read.arrays[name].dims, read.arrays[name].units) == (one.dims, one.units)
        np.testing.assert_array_equal(read.arrays[name].values, one.values)


def test_equal_arrays_give_equal_bytes_that_numpy_reads(arrays, file, tmp_path):
    save_arrays(tmp_path / "again.npz", to_arrays([at(200), at(100)]))
    assert (tmp_path / "again.npz").read_bytes() == file.read_bytes()
    with np.load(file) as plain:
        assert plain["ratio"].shape == (2, 2)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"about": None}, "is no file of arrays of 'spectra export"),
        ({"about": np.array("[]")}, "is no file of arrays .* that this version reads"),
        ({"about": np.array(json.dumps({"format": "other", "schema": 1}))}, "is no file of"),
        ({"ratio": np.zeros((2, 3))}, r"ratio has shape \(2, 3\), which is not over"),
        ({"class": np.arange(3)}, "which is not over"),
        ({"ratio": None}, "does not hold its array 'ratio'"),
        ({"about": np.array('{"format": "spectra.arrays", "schema": 1, "coords": 3}')}, "coords"),
    ],
)
def test_a_file_that_does_not_hold_together_is_a_line(file, held, said):
    with pytest.raises(InputError, match=said):
        load_arrays(rewritten(file, **held))
