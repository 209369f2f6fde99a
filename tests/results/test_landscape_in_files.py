"""What is known of the landscape around the weights, in rows, files and tables."""

import json
from dataclasses import replace

import pytest
from drawn_results import analysis, record_of

from spectra import Bending, StationaryPoint, load_analysis
from spectra.results.tables import to_csv

BENDING = Bending(
    radius=0.1, loss=0.02, secants=((0.01, 0.9), (0.1, 0.25)), predicted_with=0.7,
    predicted_without=0.62, lowered_with=0.64, lowered_without=0.6, share=0.11,
)  # fmt: skip
NEAR = StationaryPoint(
    "saddle", "λmin -2 < -1e-4", 0.5, 1.0, 0.04, distance=0.0125, relative_distance=0.003,
    loss_at=0.9, grad_norm_at=1e-9, lambda_min=-2.0, lambda_max=4.0,
)  # fmt: skip


@pytest.fixture
def found():
    one = replace(record_of(None, "0"), bending=BENDING, stationary=NEAR)
    return analysis(one, record_of(None, "8"))


def test_bending_and_stationary_point_are_read_back_from_a_file(found, tmp_path):
    found.save(tmp_path / "found.json")
    first, second = load_analysis(tmp_path / "found.json").records
    assert (first.bending, first.stationary) == (BENDING, NEAR)
    assert (second.bending, second.stationary) == (None, None)


def test_a_row_says_in_numbers_what_was_found(found):
    first, second = found.rows()
    flat = {
        "lowered": 0.64, "bending_share": 0.11, "secant_over_pointwise": 0.25, "kinked": True,
        "stationary": "saddle", "stationary_distance": 0.0125,
        "stationary_relative_distance": 0.003,
    }  # fmt: skip
    assert flat.items() <= first.items()
    assert dict.fromkeys(flat).items() <= second.items()
    assert len(to_csv(found.records).splitlines()) == 3


def test_a_file_has_no_keys_of_what_was_not_asked_for(found, tmp_path):
    found.save(tmp_path / "found.json")
    first, second = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["records"]
    assert {"lowered", "bending_detail", "stationary", "stationary_detail"} <= first.keys()
    assert not {key for key in second if "bending" in key or "stationary" in key}


def test_a_prompt_shows_stationary_points_where_one_was_looked_for(found):
    lines = repr(found).splitlines()
    assert lines[1].endswith("verdict             stationary point")
    assert lines[2].endswith("saddle, 0.0125 away")
    assert lines[3].endswith("negative curvature  -")
    assert "stationary point" not in repr(replace(found, records=found.records[1:]))


def test_a_notebook_has_a_cell_for_every_column(found):
    page = found._repr_html_()
    assert page.count("<th>") * 2 == page.count("<td>")
