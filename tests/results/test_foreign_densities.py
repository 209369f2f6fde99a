"""Nodes and weights as people keep them: read for what they are, or refused in a line."""

import json

import numpy as np
import pytest
from command_line import invoke, refused, unfolded

from spectra import InputError, check_spectrum
from spectra.results.spectrum_file import check_spectrum_file

# The lowest node of three carries no mass: without it the verdict is another.
PAIRS = [(-2.0, 1e-30), (0.0, 0.9), (5.0, 0.1)]


def rows(separator: str, minus: str = "-") -> str:
    lines = (separator.join(f"{x:g}" for x in pair) for pair in PAIRS)
    return "".join(f"{line}\n" for line in lines).replace("-2", f"{minus}2")


@pytest.mark.parametrize(
    "content",
    [
        rows(",").encode("utf-8-sig"),
        rows(",", minus="\u2212").encode(),
        ("node,weight\n" + rows(",", minus="\u2212")).encode("utf-8-sig"),
        rows(";").encode(),
        rows("; ").replace("\n", "\r\n").encode(),
        rows("\t").encode(),
        rows("   ").encode(),
        ("# made by a script\n\n" + rows(",")).encode(),
        ('"node","weight"\n' + rows(",")).encode(),
        b"weights,nodes\n1e-30,-2\n.9,0\n.1,5.\n",
    ],
    ids=["mark", "minus", "names mark minus", "semicolon", "windows", "tab", "spaces", "comment",
         "quoted names", "weights first"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["run.csv", "run.TXT"])
def test_no_row_of_a_table_is_lost_or_taken_for_another(content, name, tmp_path):
    (tmp_path / name).write_bytes(content)
    found = check_spectrum_file(tmp_path / name, 100)[name]
    assert (found.lowest.node, found.highest.node) == (-2.0, 5.0)
    assert found.massless == ("lower",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,0.5\n1,0.5\n", "in line 1, got x | 0.5"),
        ("-2,weight\n1,1\n", "in line 1, got -2 | weight"),
        ("1,5;0,5\n2,5;0,5\n", "line 1 has decimal commas (1,5 | 0,5); write points"),
        ("1_0,0.5\n2,0.5\n", "in line 1, got 1_0 | 0.5"),
        ("\uff11,0.5\n2,0.5\n", "in line 1"),
        ("\u20132,0.5\n2,0.5\n", "in line 1"),
        ("nan,0.5\n2,0.5\n", "must be finite"),
        ("node,weight\n1,0.5\ninf,0.5\n", "must be finite"),
        ("1,0.5,3\n", "in line 1, got 1 | 0.5 | 3"),
        ("1,0.5\n2\n", "in line 2, got 2"),
        ("1,-0.5\n2,1.5\n", "weights must be 0 or more"),
        ('"' + "1" * 200_000 + ",0.5\n", "line 1"),
        ("1,1e400\n", "must be finite"),
    ],
)
def test_a_line_that_holds_no_two_numbers_is_named(text, said, tmp_path):
    (tmp_path / "run.csv").write_text(text, encoding="utf-8")
    line = refused("check-spectrum", tmp_path / "run.csv", "--parameter-count", 9)
    assert "run.csv" in line
    assert said in line


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ([269722, 269722], "one integer of at least 1, got 2 values"),
        ([], "got 0 values"),
        (269722.0, "got 269722.0"),
        ("269722", "got '269722'"),
        (True, "got True"),
        (0, "got 0"),
        (-3, "got -3"),
        (None, "--parameter-count"),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_number_of_parameters_that_is_no_count_is_refused(size, said, suffix, tmp_path):
    path = tmp_path / f"run{suffix}"
    nodes, weights = map(list, zip(*PAIRS, strict=True))
    if suffix == ".json":
        path.write_text(json.dumps({"nodes": nodes, "weights": weights, "size": size}))
    elif size is None:
        np.savez(path, nodes=nodes, weights=weights)
    else:
        np.savez(path, nodes=nodes, weights=weights, size=np.asarray(size))
    assert said in refused("check-spectrum", path)


def test_a_number_of_parameters_in_an_array_of_one_is_read(tmp_path):
    nodes, weights = zip(*PAIRS, strict=True)
    np.savez(tmp_path / "run.npz", nodes=nodes, weights=weights, size=np.array([100]))
    assert check_spectrum_file(tmp_path / "run.npz")["run.npz"].size == 100


@pytest.mark.parametrize(
    ("nodes", "weights", "said"),
    [
        (3, [1.0], "lists of numbers, got 3"),
        ([1.0], 1, "lists of numbers, got 1"),
        (None, [1.0], "lists of numbers, got None"),
        ([1.0, "2"], [0.5, 0.5], "real numbers (got '2' among them)"),
        (["1", "2"], [0.5, 0.5], "real numbers (got '1' among them)"),
        ([True, 2.0], [0.5, 0.5], "real numbers (got 'True' among them)"),
        ([1.0, None], [0.5, 0.5], "real numbers"),
        ([1.0, [2.0]], [0.5, 0.5], "real numbers"),
        ([[1.0, 2.0]], [0.5, 0.5, 0.0], "lists of the same length"),
        ([1.0, 2.0], [0.5, 0.4, 0.1], "lists of the same length"),
        ([[1.0], [2.0]], [[1.0]], "equally many runs, got 2 and 1"),
        ({"0": 1.0}, {"0": 1.0}, "real numbers"),
        ("ab", "cd", "real numbers"),
        ([], [], "lists of the same length"),
    ],
)
def test_what_is_no_list_of_numbers_is_refused_in_files_and_in_python(
    nodes, weights, said, tmp_path
):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"nodes": nodes, "weights": weights}))
    assert said in refused("check-spectrum", path, "--parameter-count", 100)
    with pytest.raises(InputError) as caught:
        check_spectrum(nodes, weights, 100)
    assert said in str(caught.value)


def test_arrays_of_no_dimension_words_and_truths_are_refused():
    for nodes in (np.array(3.0), np.array(["1.0"]), np.array([True])):
        with pytest.raises(InputError, match="numbers"):
            check_spectrum(nodes, [1.0], 100)


def test_sentence_and_command_say_whose_recurrence_it_is(tmp_path):
    (tmp_path / "run.csv").write_text(rows(","))
    printed = invoke("check-spectrum", tmp_path / "run.csv", "--parameter-count", 100).output
    shown = unfolded(printed)
    assert "where by Lanczos' recurrence an eigenvalue carries about 1" in shown
    assert "of fixed matrices by Lanczos' recurrence, 1 density in 10,000" in shown
