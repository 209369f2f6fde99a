"""Files that are not what they should be: every place and every wrong type is named in a line."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from fuzz.mutations import places

from spectra import InputError, load_analysis
from spectra.results.directions.theorem_result import load_theorem
from spectra.results.plain import from_plain
from spectra.results.record import StoredRecord
from spectra.results.study_result import load_study_result

STORED = Path(__file__).parents[2] / "docs" / "study"
# One with a density and noise, one with certificates and a bootstrap.
FILES = [STORED / "ce-drw-0060" / name for name in ("fresh.json", "plain.json")]
READ = {"class" if name == "label" else name for name in StoredRecord.__struct_fields__}
# What files of schema 1 do not have, and what need not be stated.
OPTIONAL = {
    "certificates", "products", "image_products", "active_images", "start", "overlap_min",
    "overlap_max", "bootstrap", "density_bound", "noise", "failure",
}  # fmt: skip


def wrong_for(value: Any) -> list[Any]:
    """Return values of every type that cannot stand for that of ``value``."""
    if value is None:
        return [[{}]]
    if isinstance(value, bool):
        return [1, 0.0, "true", None, [], {}]
    if isinstance(value, int):
        return [1.5, True, None, [1], {}]
    if isinstance(value, float):
        return ["x", True, None, 10**400, [1.0], {}]
    if isinstance(value, str):
        return [1, True, None, [], {}]
    if isinstance(value, list):
        return ["x", 3, True, None, {"a": 1}]
    return ["x", 3, True, []]  # null stands for objects that need not be there


def said(place: tuple[str | int, ...]) -> str:
    return "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in place).removeprefix(".")


def is_read(place: tuple[str | int, ...]) -> bool:
    """Whether a result depends on this place; the rest of a record follows from what is read."""
    if place[0] in ("format", "schema"):
        return False
    if {"nodes", "weights"} & set(place):
        return False
    return not (len(place) > 2 and place[0] == "records" and place[2] not in READ)


def spoilt(plain: Any, place: tuple[str | int, ...], value: Any) -> Any:
    plain = copy.deepcopy(plain)
    at = plain
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return plain


def complaint(path: Path, plain: Any, load=load_analysis) -> str | None:
    """Return what the reader says of the file, without its name; None where it takes it."""
    text = json.dumps(plain).replace("Infinity", "1e999")
    path.write_text(text, encoding="utf-8")
    try:
        load(path)
    except InputError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message.removeprefix(f"{path}: ")
    return None


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_value_of_another_type_is_named_by_its_place_wherever_it_stands(file, tmp_path):
    plain = json.loads(file.read_text(encoding="utf-8"))
    # What recipes, architectures and data say of themselves may be any plain value.
    free = {"recipe_fields", "architecture", "data", "normalisation"}
    asked = [
        place
        for place in places(plain, of_lists=1)
        if is_read(place) and not free & set(place[:-1])
    ]
    tried = 0
    for place in asked:
        at = plain
        for key in place:
            at = at[key]
        for value in wrong_for(at):
            told = complaint(tmp_path / "spoilt.json", spoilt(plain, place, value))
            if value is not None or told is not None:  # null stands where nothing need be
                assert str(told).startswith(f"{said(place)}: "), (place, value, told)
                tried += 1
    assert tried > 300


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_missing_key_is_named_unless_it_need_not_be_there(file, tmp_path):
    plain = json.loads(file.read_text(encoding="utf-8"))
    for place in places(plain["records"][0], ("records", 0)):
        if isinstance(place[-1], int) or not is_read(place):
            continue
        without = copy.deepcopy(plain)
        at = without
        for key in place[:-1]:
            at = at[key]
        del at[place[-1]]
        told = complaint(tmp_path / "short.json", without)
        if place[-1] in OPTIONAL:
            assert told is None, (place, told)
        else:
            assert told == f"{said(place[:-1])}: {place[-1]} is missing", place


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("records", 0, "lambda_min"), "x", "records[0].lambda_min: expected a number, got 'x'"),
        (("records", 0, "n"), True, "records[0].n: expected an integer, got true"),
        (("records", 0, "n"), 5.0, "records[0].n: expected an integer, got 5.0"),
        (("records", 0, "converged"), 1, "records[0].converged: expected true or false, got 1"),
        (("records", 0, "class"), 8.5, "records[0].class: expected an integer or text, got 8.5"),
        (("records", 0, "loss"), 10**400, "records[0].loss: number out of range"),
        (("records", 0, "loss"), 1e999, "records[0].loss: expected a finite number, got inf"),
        (("records",), {"0": 1}, "records: expected a list, got an object"),
        (("checkpoint", "name"), None, "checkpoint.name: expected text, got null"),
        (("versions", "torch"), 2, "versions.torch: expected text, got 2"),
        (
            ("protocol", "solver", "num_steps"), 0,
            "protocol.solver: num_steps must be in 1..1,000,000, got 0",
        ),
    ],
)  # fmt: skip
def test_the_line_says_what_was_expected_and_what_came(place, value, told, tmp_path):
    plain = json.loads(FILES[1].read_text(encoding="utf-8"))
    assert complaint(tmp_path / "spoilt.json", spoilt(plain, place, value)) == told


def test_an_integer_serves_for_a_number(tmp_path):
    plain = json.loads(FILES[1].read_text(encoding="utf-8"))
    path = tmp_path / "whole.json"
    assert complaint(path, spoilt(plain, ("records", 0, "loss"), 1)) is None
    loss = load_analysis(path).records[0].loss
    assert (loss, type(loss)) == (1.0, float)


def test_a_key_that_is_not_known_is_left_out(tmp_path):
    plain = json.loads(FILES[1].read_text(encoding="utf-8"))
    assert complaint(tmp_path / "more.json", spoilt(plain, ("records", 0, "colour"), "red")) is None


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "01", "+1"])
def test_numbers_that_are_no_json_are_refused(text, tmp_path):
    path = tmp_path / "nan.json"
    plain = json.loads(FILES[1].read_text(encoding="utf-8"))
    written = json.dumps(spoilt(plain, ("records", 0, "loss"), "HERE"))
    path.write_text(written.replace('"HERE"', text), encoding="utf-8")
    with pytest.raises(InputError, match=r"^cannot read .*nan\.json as a result file") as caught:
        load_analysis(path)
    assert "\n" not in str(caught.value)


def test_nesting_without_end_is_refused(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(InputError, match="cannot read"):
        load_analysis(path)


def test_a_study_names_the_analysis_and_the_place_in_it(tmp_path):
    analysis = json.loads(FILES[1].read_text(encoding="utf-8"))
    plain = {"format": "spectra.study", "schema": 1, "name": "s", "analyses": [analysis]}
    told = complaint(
        tmp_path / "results.json",
        spoilt(plain, ("analyses", 0, "records", 0, "steps"), "many"),
        load_study_result,
    )
    assert told == "analyses[0].records[0].steps: expected an integer, got 'many'"


def test_a_theorem_names_the_place(tmp_path):
    plain = json.loads((STORED / "theorem" / "theorem.json").read_text(encoding="utf-8"))
    told = complaint(
        tmp_path / "theorem.json",
        spoilt(plain, ("classes", 1, "batches", 0, "measured", "lower"), "low"),
        load_theorem,
    )
    assert told == "classes[1].batches[0].measured.lower: expected a number, got 'low'"


def test_a_key_of_two_lines_is_named_in_one():
    with pytest.raises(InputError) as caught:
        from_plain({"two\nlines": "x"}, dict[str, int], origin="some.json")
    assert "\n" not in str(caught.value)
    assert "two lines" in str(caught.value)
