"""Files of many losses: they hold their records by column, and are read as they were written."""

import json
from dataclasses import replace

import numpy as np
import pytest
from drawn_results import analysis, record_of
from hypothesis import given, settings
from hypothesis import strategies as st

from spectra import InputError, SolverSettings, Spectrum, load_analysis
from spectra.krylov.tridiagonal import Tridiagonal
from spectra.results.analysis import analysis_to_json
from spectra.results.groups.many import MANY
from spectra.results.stored.by_column import from_columns, to_columns
from spectra.system.files.limits import raised_limits

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "tangent", "λ"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from("abc"), VALUES), min_size=1, max_size=5)


COUNT = MANY + 1


@pytest.fixture(scope="module")
def many():
    records = [record_of(None, str(k), low=-1.0 - k) for k in range(COUNT)]
    return replace(analysis(*records, solver=SolverSettings()), versions={"torch": "2"})


@pytest.fixture(scope="module")
def text(many):
    return analysis_to_json(many)


@pytest.fixture
def written(text, tmp_path):
    (tmp_path / "analysis.json").write_text(text)
    return tmp_path / "analysis.json"


def changed(path, **records):
    plain = json.loads(path.read_text())
    plain["records"].update(records)
    path.write_text(json.dumps(plain))
    return path


@settings(max_examples=20)
@given(RECORDS)
def test_records_by_column_become_the_same_records(records):
    again = from_columns(to_columns(records), len(records), origin="file")
    assert json.dumps(again, sort_keys=True) == json.dumps(records, sort_keys=True)


def test_a_file_of_many_losses_reads_as_it_was_written(many, written):
    assert load_analysis(written) == many


def test_each_column_of_many_losses_is_a_line_with_its_name_once(written):
    lines = written.read_text().splitlines()
    assert sum('"lambda_min"' in line for line in lines) == 1


def test_a_class_of_extremes_takes_two_kilobytes_at_most(text):
    assert len(text.encode()) < 2000 * COUNT


def test_densities_of_many_losses_are_read_from_their_recurrence(many, tmp_path):
    run = Tridiagonal(np.array([0.0, 1.0]), np.array([0.5]), 0.3, False)
    density = replace(many.records[0], spectrum=Spectrum((run,), 50, "rademacher"))
    replace(many, records=(density, *many.records[1:])).save(tmp_path / "found.json")
    assert '"nodes"' not in (tmp_path / "found.json").read_text()
    read = load_analysis(tmp_path / "found.json").records[0].spectrum
    assert read.nodes.tolist() == density.spectrum.nodes.tolist()


def test_few_losses_keep_the_form_that_they_had(many):
    plain = json.loads(analysis_to_json(replace(many, records=many.records[:MANY])))
    assert plain["schema"] == 2
    assert [one["class"] for one in plain["records"]] == list(range(MANY))


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ({"count": -1}, "records.count: expected an integer from 0, got -1"),
        ({"count": 200}, "records.columns.class: each must be a list of 200 values"),
        ({"columns": []}, "records.columns: expected|of must be an object"),
        ({"columns": {"class": 3}}, "records.columns.class: expected a column"),
        ({"columns": {"n": {"all": [1]}}}, "records.columns.n: all must be one number"),
        ({"columns": {"n": {"rows": [0, 201], "all": 1}}}, "rows must be places from 0 to 200"),
        ({"columns": {"n": {"rows": [1, 0], "all": 1}}}, "rows must be places .* rising"),
        ({"columns": {"n": {"items": []}}}, "items must be a list of columns"),
    ],
)  # fmt: skip
def test_a_column_that_is_none_is_named(written, records, said):
    with pytest.raises(InputError, match=said):
        load_analysis(changed(written, **records))


def test_a_short_file_that_stands_for_many_values_is_refused(written):
    changed(written, count=10**9, columns={"n": {"all": 1}})
    with pytest.raises(InputError, match="limit of values of the records"):
        load_analysis(written)
    changed(written, count=COUNT)
    with raised_limits(record_values=300), pytest.raises(InputError, match="raise it"):
        load_analysis(written)


def test_a_value_that_does_not_fit_is_named_by_its_record(many, written):
    plain = json.loads(written.read_text())
    plain["records"]["columns"]["loss"] = {"each": ["x"] * len(many.records)}
    written.write_text(json.dumps(plain))
    with pytest.raises(InputError, match=r"records\[0\]\.loss: expected a number, got 'x'"):
        load_analysis(written)
