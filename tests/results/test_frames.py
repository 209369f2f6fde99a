"""Results as pandas data frames and xarray data sets."""

import sys

import numpy as np
import pytest
from drawn_results import analysis, record_of

from spectra import InputError, Spectrum, StudyResult, Tridiagonal, to_dataframe, to_xarray
from spectra.results.frames.columns import COLUMNS


@pytest.fixture
def density():
    runs = (
        Tridiagonal(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.2]), 0.1, closed=False),
        Tridiagonal(np.array([1.0, 2.0]), np.array([0.5]), 0.0, closed=True),
    )
    return Spectrum(runs, 3, "normal")


def test_every_column_of_a_row_has_a_unit_and_a_meaning():
    assert list(analysis(record_of(None)).rows()[0]) == list(COLUMNS)
    assert all(column.says for column in COLUMNS.values())


def test_a_data_frame_has_the_rows_and_nan_for_numbers_that_are_not_known():
    found = analysis(record_of(None, "0", accuracy=0.5), record_of(None, "tail"))
    frame = found.to_dataframe()
    assert list(frame["class"]) == [0, "tail"]
    assert frame["accuracy"][0] == 0.5
    assert np.isnan(frame["accuracy"][1])
    assert frame["trace"].dtype == float
    assert frame["trace"].isna().all()
    assert frame["converged"].dtype == bool
    assert frame.attrs["units"]["lambda_min"] == "loss / parameter²"
    assert set(frame.attrs["columns"]) == set(frame.columns)


def test_a_data_frame_of_nothing_has_the_columns():
    assert list(analysis().to_dataframe().columns) == list(COLUMNS)


def test_several_results_are_lines_of_one_frame_with_their_checkpoint_before():
    frame = to_dataframe(analysis(record_of(None, "8"), epoch=e, seed=e % 3) for e in (100, 200))
    assert list(frame.columns[:5]) == ["checkpoint", "recipe", "seed", "epoch", "split"]
    assert list(frame["epoch"]) == [100, 200]
    assert list(frame["class"]) == [8, 8]


def test_a_data_set_has_the_dimension_class_and_units():
    found = analysis(record_of(None, "8", low=-3.0), record_of(None, "2", low=-1.0)).to_xarray()
    assert found["lambda_min"].dims == ("class",)
    assert float(found["lambda_min"].sel({"class": 8})) == -3.0
    assert found["lambda_min"].attrs["units"] == "loss / parameter²"
    assert list(found["verdict"].values) == ["negative curvature"] * 2
    assert found["n"].dtype == np.int64
    assert found.attrs["split"] == "train"


def test_classes_and_groups_together_are_words():
    found = analysis(record_of(None, "8"), record_of(None, "tail")).to_xarray()
    assert list(found["class"].values) == ["8", "tail"]


def test_a_trajectory_is_by_epoch_as_it_rises_and_class():
    runs = [analysis(record_of(None, "8", low=-float(e)), epoch=e) for e in (200, 100)]
    found = to_xarray(runs)
    assert found["lambda_min"].dims == ("epoch", "class")
    assert list(found["epoch"].values) == [100, 200]
    assert list(found["lambda_min"].values[:, 0]) == [-100.0, -200.0]


def test_what_is_not_there_is_nan_and_empty():
    runs = [
        analysis(record_of(None, "8"), epoch=100),
        analysis(record_of(None, "8"), record_of(None, "9"), epoch=200),
    ]
    gap = to_xarray(runs).sel({"epoch": 100, "class": 9})
    assert np.isnan(gap["n"])
    assert gap["verdict"] == ""


def test_a_density_is_by_class_probe_and_node_and_a_shorter_run_ends_in_nan(density):
    found = analysis(record_of(density, "8")).to_xarray()
    assert found["density_nodes"].dims == ("class", "probe", "node")
    assert found["density_nodes"].shape == (1, 2, 3)
    np.testing.assert_array_equal(
        found["density_nodes"].values[0, 0], density.probes[0].ritz_values()
    )
    assert np.isnan(found["density_weights"].values[0, 1, 2])
    # Weights of a probe sum to 1, up to the rounding of three float64 numbers.
    np.testing.assert_allclose(np.nansum(found["density_weights"], axis=-1), 1, atol=1e-15)


def test_a_study_is_by_recipe_seed_split_and_class():
    runs = tuple(
        analysis(record_of(None, "8"), seed=seed, split=split)
        for seed in (0, 1)
        for split in ("train", "test")
    )
    study = StudyResult("demo", runs)
    assert dict(study.to_xarray()["ratio"].sizes) == {
        "recipe": 1, "seed": 2, "split": 2, "class": 1,
    }  # fmt: skip
    assert len(study.to_dataframe()) == 4


def test_two_results_of_one_place_are_refused():
    twice = [analysis(record_of(None, "8")), analysis(record_of(None, "8"))]
    with pytest.raises(InputError, match="two results are of 200, class 8"):
        to_xarray(twice)


def test_dimensions_that_no_result_has_are_refused():
    with pytest.raises(InputError, match="dims must be some of checkpoint, recipe"):
        to_xarray([analysis(record_of(None))], dims=("width",))
    with pytest.raises(InputError, match="does not say its epoch"):
        to_xarray([analysis(record_of(None), epoch=None)])


def test_a_data_set_survives_its_file(tmp_path, density):
    xarray = pytest.importorskip("xarray")
    found = to_xarray([analysis(record_of(density, "8"), record_of(None, "tail"))])
    found.to_netcdf(tmp_path / "found.nc", engine="scipy")
    with xarray.open_dataset(tmp_path / "found.nc", engine="scipy") as read:
        np.testing.assert_array_equal(read["density_nodes"], found["density_nodes"])


@pytest.mark.parametrize(("package", "method"), [
    ("pandas", "to_dataframe"), ("xarray", "to_xarray"),
])  # fmt: skip
def test_without_the_package_it_is_refused_in_a_line(package, method, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"needs {package}: pip install {package}, or take rows"):
        getattr(analysis(record_of(None)), method)()
