"""Stored densities of every kind, checked from Python and from the command line."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke, refused
from drawn_results import analysis, record_of

from spectra import InputError, Spectrum, Tridiagonal, load_analysis, save_analysis
from spectra.results.analysis import Analysis
from spectra.results.protocol_rows import protocol_rows
from spectra.results.spectrum_file import check_spectrum_file
from spectra.results.study_result import StudyResult, save_study_result

STUDY = Path(__file__).parents[2] / "docs" / "study"
FRESH = STUDY / "ce-drw-0060" / "fresh-pyhessian.json"
PLAIN = STUDY / "ce-drw-0060" / "plain-pyhessian.json"
NODES, WEIGHTS, SIZE = [-2.0, 0.0, 5.0], [1e-30, 0.9, 0.1], 100
LOWER_ONLY = "the lower end carries no mass: it belongs to no eigenvalue"


def stored(folder: Path, name: str) -> Path:
    """Write the same nodes and weights as ``name`` says."""
    path = folder / name.rpartition("/")[2]
    texts = {
        "list.json": json.dumps([NODES, WEIGHTS]),
        "runs.json": json.dumps([[NODES, NODES], [WEIGHTS, WEIGHTS]]),
        "named.json": json.dumps({"nodes": NODES, "weights": WEIGHTS}),
        "pyhessian.json": json.dumps({"density_eigen": [NODES], "density_weight": [WEIGHTS]}),
        "commas.csv": "node,weight\n-2.0, 1e-30\n0.0,0.9\n5.0,0.1\n",
        "spaces.txt": "# node weight\n-2.0 1e-30\n\n0.0 0.9  # bulk\n5.0 0.1\n",
    }
    if name in texts:
        path.write_text(texts[name], encoding="utf-8")
    elif name == "named.npz":
        np.savez(path, nodes=NODES, weights=WEIGHTS)
    elif name == "pyhessian.npz":
        np.savez(path, density_eigen=[NODES], density_weight=[WEIGHTS])
    else:
        rows = np.array([NODES, WEIGHTS])
        np.save(path, rows.T if name == "columns.npy" else rows)
    return path


@pytest.mark.parametrize(
    "name",
    ["list.json", "runs.json", "named.json", "pyhessian.json", "commas.csv", "spaces.txt",
     "named.npz", "pyhessian.npz", "rows.npy", "columns.npy"],
)  # fmt: skip
def test_nodes_and_weights_are_read_as_others_keep_them(name, tmp_path):
    path = stored(tmp_path, name)
    found = check_spectrum_file(path, SIZE)[name]
    assert (found.warning, found.size) == (LOWER_ONLY, SIZE)
    assert (found.lowest.node, found.highest.mass) == (-2.0, pytest.approx(10.0))
    with pytest.raises(InputError, match="give it with --parameter-count P"):
        check_spectrum_file(path)


def test_a_file_may_say_the_number_of_parameters_and_the_caller_may_not_say_another(tmp_path):
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps({"nodes": NODES, "weights": WEIGHTS, "num_parameters": 100}))
    assert check_spectrum_file(path)["theirs.json"].size == 100
    assert check_spectrum_file(path, 100)["theirs.json"].size == 100
    with pytest.raises(InputError, match="P is 100 there, got --parameter-count 99"):
        check_spectrum_file(path, 99)
    with pytest.raises(InputError, match="P is 269722 there"):
        check_spectrum_file(FRESH, 99)


def test_a_single_precision_eigensolver_finds_the_same_ends_massless(tmp_path):
    # What PyHessian returns: eigenvectors in float32, whose small entries are rounded.
    (t,) = load_analysis(FRESH).records[0].spectrum.probes
    values, vectors = np.linalg.eigh(t.matrix().astype(np.float32))
    np.savez(tmp_path / "run.npz", nodes=values, weights=vectors[0] ** 2, size=269722)
    assert check_spectrum_file(tmp_path / "run.npz")["run.npz"].massless == ("lower", "upper")


def test_a_study_is_checked_loss_by_loss(tmp_path):
    fresh, plain = load_analysis(FRESH), load_analysis(PLAIN)
    save_study_result(tmp_path / "results.json", StudyResult("two", (fresh,), (plain,)))
    found = check_spectrum_file(tmp_path / "results.json")
    assert [bool(check.warning) for check in found.values()] == [True, False]
    assert all(name.endswith(": 8") for name in found)


class Runs:
    """A pickle of it would write a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.json", None, "cannot read"),
        ("broken.json", b"[[1, 2], [", "cannot read"),
        ("nan.json", b"[[0, NaN], [0.5, 0.5]]", "cannot read"),
        ("three.json", b"[[1], [1], [1]]", "expected a list of two"),
        ("words.json", b'{"a": [1], "b": [1]}', "expected nodes and weights under the names"),
        ("other.json", b'{"format": "spectra.theorem", "schema": 1}', "got format, schema"),
        ("scalar.json", b"[1, 2]", "--parameter-count 9: lists of numbers"),
        ("text.json", b'["ab", "cd"]', "real numbers"),
        ("deep.json", b"[[[[0.5]]], [[[0.5]]]]", "lists of the same length"),
        ("empty.csv", b"", "lists of the same length"),
        ("three.csv", b"1,2,3\n4,5,6\n", "expected two numbers"),
        ("word.csv", b"node,weight\n1,x\n", "in line 2, got 1 | x"),
        ("binary.csv", bytes(range(256)), "cannot read"),
        ("not.npz", b"PK\x03\x04 no archive", "cannot read"),
        ("not.npy", b"no array", "cannot read"),
        ("weights.pt", b"x", "pickles"),
        ("sum.csv", b"0,4.5\n1,4.5\n", "sum to 1"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_the_file(name, content, said, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    line = refused("check-spectrum", tmp_path / name, "--parameter-count", 9)
    assert name in line
    if name != "scalar.json":
        assert said in line


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".json", ".txt", ".pkl"])
def test_nothing_is_unpickled(suffix, tmp_path):
    path, trap = tmp_path / f"evil{suffix}", tmp_path / "ran"
    if suffix == ".npy":
        np.save(path, np.array([Runs(trap), 1], dtype=object), allow_pickle=True)
    elif suffix == ".npz":
        np.savez(path, nodes=np.array([Runs(trap), 1], dtype=object), weights=[1.0])
    else:
        path.write_bytes(pickle.dumps(Runs(trap)))
    assert path.name in refused("check-spectrum", path, "--parameter-count", 9)
    assert not trap.exists()


def test_a_result_of_extremes_alone_says_what_to_do(tmp_path):
    save_analysis(tmp_path / "ends.json", analysis(record_of(None)))
    assert "--num-probes" in refused("check-spectrum", tmp_path / "ends.json")


def test_the_command_says_what_each_end_carries_and_ends_well_either_way():
    warned, fine = invoke("check-spectrum", FRESH), invoke("check-spectrum", PLAIN)
    assert (warned.exit_code, fine.exit_code) == (0, 0)
    assert "8: these ends carry no mass: they belong to no eigenvalue" in warned.output
    assert "8: both ends carry what eigenvalues of a fixed matrix may carry" in fine.output
    (found,) = json.loads(invoke("check-spectrum", FRESH, "--json").output)
    assert (found["name"], found["size"]) == ("8", 269722)
    assert found["lowest"]["mass"] < 1e-30
    assert found["warning"].startswith("these ends carry no mass")


def massless() -> Analysis:
    # The coupling of 1e-20 leaves the outer two next to no share of the start.
    t = Tridiagonal(np.array([0.0, -9.0, 9.0]), np.array([1e-10, 1e-10]), 0.1, closed=False)
    return analysis(record_of(Spectrum((t,), 1000), low=-9.0, high=9.0))


def test_a_result_at_a_prompt_says_which_ends_carry_no_mass():
    assert "density of 8: these ends carry no mass" in repr(massless())
    assert "no mass" not in repr(analysis(record_of(None)))


def test_rows_have_the_mass_and_files_what_it_follows_from(tmp_path):
    (row,) = massless().rows()
    assert row["mass_min"] < 1e-10
    assert row["mass_max_probability"] < 1e-10
    massless().save(tmp_path / "one.json")
    (record,) = json.loads((tmp_path / "one.json").read_text())["records"]
    assert "mass_min" not in record
    assert load_analysis(tmp_path / "one.json").rows()[0]["mass_min"] == row["mass_min"]


def test_rows_of_protocols_have_the_mass_of_the_lowest_node():
    (fresh,) = protocol_rows({"fresh/pyhessian": load_analysis(FRESH)})
    (plain,) = protocol_rows({"plain/pyhessian": load_analysis(PLAIN)})
    assert fresh.mass_min < 1e-30
    assert plain.mass_min > 0.1
    none = replace(load_analysis(PLAIN).records[0], spectrum=None)
    (bare,) = protocol_rows({"plain": analysis(none)})
    assert bare.mass_min is None


def test_a_table_of_protocols_and_a_folder_say_which_file_to_name(tmp_path):
    table = tmp_path / "protocols.json"
    table.write_text('[{"class": 8, "protocol": "plain/pyhessian", "lambda_min": -1.0}]')
    with pytest.raises(InputError, match=r"without nodes and weights.*plain-pyhessian\.json"):
        check_spectrum_file(table, 100)
    with pytest.raises(InputError, match=r"is a folder; name a file in it \(protocols\.json\)"):
        check_spectrum_file(tmp_path, 100)


def test_complex_eigenvalues_are_read_where_they_are_real_and_refused_where_not(tmp_path):
    nodes, weights = np.array([-1.0, 0.5, 2.0]), np.array([0.2, 0.5, 0.3])
    np.save(tmp_path / "real.npy", np.stack([nodes, weights]).astype(complex))
    found = check_spectrum_file(tmp_path / "real.npy", 100)["real.npy"]
    assert found.lowest.node == -1.0
    np.save(tmp_path / "not.npy", np.stack([nodes + 1e-3j, weights]))
    with pytest.raises(InputError, match="imaginary part"):
        check_spectrum_file(tmp_path / "not.npy", 100)
