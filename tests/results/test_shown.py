"""A result at a prompt and in a notebook."""

from dataclasses import replace

import pytest
from drawn_results import analysis, record_of

from spectra import load_analysis
from spectra.landscape.bending import Bending
from spectra.results.tables import LONGEST


@pytest.fixture
def found():
    return analysis(
        record_of(None, "0", low=-1.0, n=5000),
        record_of(None, "8", converged=False),
        record_of(None, "tail", low=-0.5),
    )


def test_repr_is_a_short_table(found):
    assert repr(found).splitlines() == [
        "run-0-200, epoch 200 (loss ce, plain train images)",
        "class     n  right %  λmin  λmax  |λmin/λmax|  verdict",
        "0      5000     90.0    -1    60       0.0167  negative curvature",
        "8        50     90.0   -23    60        0.383  undecided",
        "tail     50     90.0  -0.5    60      0.00833  negative curvature",
        "not converged, so λmin may be lower, λmax higher: 8",
    ]


def test_what_negative_curvature_brings_is_shown_where_it_was_measured(found):
    bent = Bending(0.1, 0.7, (), None, None, 0.71, None, 0.02)
    records = (replace(found.records[0], bending=bent), *found.records[1:])
    shown = repr(replace(found, records=records)).splitlines()
    assert shown[1].split()[-5:] == ["lowered", "%", "bending", "%", "verdict"]
    assert "0.0167         71          2  negative" in shown[2]
    assert "0.383          -          -  undecided" in shown[3]


def test_repr_of_a_result_without_records_is_its_title(found):
    assert repr(replace(found, records=())).splitlines()[0].startswith("run-0-200, epoch 200")


def test_of_many_records_the_first_and_last_are_shown():
    many = analysis(*(record_of(None, str(c)) for c in range(100)))
    lines = repr(many).splitlines()
    assert len(lines) == 2 + LONGEST + 1
    assert [line.split()[0] for line in lines[20:25]] == ["18", "19", "...", "80", "81"]
    assert many._repr_html_().count("<tr>") == 1 + LONGEST + 1


def test_html_holds_the_same_cells(found):
    page = found._repr_html_()
    assert page.count("<tr>") == 4
    assert "<td>0.383</td><td>undecided</td>" in page
    assert "<p>not converged, so" in page


def test_names_of_foreign_files_are_escaped(found):
    evil = replace(found.checkpoint, name="<script>alert('x')</script>")
    record = replace(found.records[0], label='<b onload="x">')
    page = replace(found, checkpoint=evil, records=(record,))._repr_html_()
    assert "<script" not in page
    assert "<b " not in page
    assert "&lt;script&gt;" in page


def test_a_result_saves_itself(found, tmp_path):
    found.save(str(tmp_path / "found.json"))
    assert load_analysis(tmp_path / "found.json") == found
