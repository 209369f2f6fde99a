"""docs/digits.md is what the stored summary of the digits study gives."""

from collections import Counter

import pytest
from digits_page import PAGE, README, STORED, readme_with_part, rendered
from digits_summary import GROUPS, in_group, load_summary, save_summary


@pytest.fixture(scope="module")
def summary():
    return load_summary(STORED)


def test_the_page_is_rendered_from_the_stored_summary():
    assert PAGE.read_text("utf-8") == rendered()


def test_the_readme_says_of_the_digits_what_the_stored_summary_gives():
    assert README.read_text("utf-8") == readme_with_part()


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
