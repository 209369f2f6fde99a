"""The published recurrence on the study's networks: what its stored runs say."""

from pathlib import Path

import pytest

from spectra.engines.published_recurrence import AFTER, WITHOUT_RETURNED
from spectra.results.protocols.recurrences_result import (
    RecurrenceRun,
    load_recurrences,
    save_recurrences,
)

STORED = Path(__file__).parents[2] / "docs" / "study" / "recurrences"
FILES = sorted(STORED.glob("*.json"))
FRESH = [path for path in FILES if "-8-fresh" in path.stem and path.stem.startswith("longer")]


def run_of(path: Path, arithmetic: str) -> RecurrenceRun:
    return next(run for run in load_recurrences(path).runs if run.arithmetic == arithmetic)


BY_BOTH = [
    path for path in FRESH if len({run.arithmetic for run in load_recurrences(path).runs}) > 1
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_stored_run_is_written_again_with_what_it_holds(path, tmp_path):
    save_recurrences(tmp_path / "again.json", load_recurrences(path))
    assert load_recurrences(tmp_path / "again.json") == load_recurrences(path)


@pytest.mark.parametrize("path", BY_BOTH, ids=lambda path: path.stem)
def test_in_exact_arithmetic_the_ratio_does_not_grow_after_twenty_steps(path):
    exact = run_of(path, "float64")
    assert exact.ends(steps=100).ratio == pytest.approx(exact.ends(steps=20).ratio, rel=0.01)


@pytest.mark.parametrize("path", BY_BOTH, ids=lambda path: path.stem)
def test_orthogonalising_once_is_what_lets_it_grow(path):
    published, exact = run_of(path, "published"), run_of(path, "float64")
    # The same draws and start: after ten steps they still agree.
    assert published.ends(steps=10).ratio == pytest.approx(exact.ends(steps=10).ratio, rel=0.02)
    assert published.ends().ratio > 1.1 * exact.ends().ratio


@pytest.mark.parametrize("path", FRESH, ids=lambda path: path.stem)
def test_the_part_that_came_back_is_most_of_beta_and_most_of_the_ratio(path):
    for run in load_recurrences(path).runs:
        assert run.returned_share > 0.95
        for variant in (AFTER, WITHOUT_RETURNED):
            assert run.ends(variant).ratio < 0.7 * run.ends().ratio
