"""docs/digits.md is what the stored summary of the digits study gives."""

from collections import Counter
from pathlib import Path

import pytest
from digits.digits_page import SUMMARY
from digits.digits_summary import GROUPS, in_group, load_summary, save_summary
from pages import documents

ROOT = Path(__file__).parents[2]
STORED = ROOT / "docs" / "study" / "digits" / SUMMARY


@pytest.fixture(scope="module")
def summary():
    return load_summary(STORED)


@pytest.mark.parametrize("name", ["docs/digits.md", "docs/findings.md"])
def test_a_document_says_of_the_digits_what_the_stored_summary_gives(name):
    assert (ROOT / name).read_text("utf-8") == documents(ROOT)[ROOT / name]


def test_a_summary_is_read_as_it_was_written(summary, tmp_path):
    save_summary(tmp_path / "summary.json", summary)
    assert load_summary(tmp_path / "summary.json") == summary
    assert (tmp_path / "summary.json").read_bytes() == STORED.read_bytes()
    assert STORED.stat().st_size < 100_000


def test_each_network_has_all_of_its_losses_on_its_images_once(summary):
    counted = Counter((one.recipe, one.seed, one.split) for one in summary.losses)
    assert set(counted.values()) == {13}  # ten classes, head, tail, overall
    for recipe, split in {(one.recipe, one.split) for one in summary.losses}:
        for run in summary.runs(recipe, split):
            assert [len(in_group(run, group)) for group in GROUPS] == [3, 4, 3]


def test_no_bound_from_below_is_nearer_than_the_value_that_it_bounds(summary):
    bounded = [one for one in summary.losses if one.lambda_min_at_least is not None]
    assert bounded
    assert all(one.lambda_min_at_least <= one.lambda_min for one in bounded)
