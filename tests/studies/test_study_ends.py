"""What is said at the end of a study: a table and a sentence that agree with its numbers."""

from dataclasses import replace

import pytest
from drawn_results import analysis, record_of

from cli.display.studies import closing_lines
from spectra.results.study_result import StudyResult

GROUPS = {"head": (0,), "mid": (1,), "tail": (2,)}


def of(recipe, lows, split="test", high=8.0):
    records = [
        record_of(None, str(c), low=low, high=high, accuracy=0.9 - c / 10)
        for c, low in enumerate(lows)
    ]
    found = analysis(*records, split=split)
    return replace(found, checkpoint=replace(found.checkpoint, recipe=recipe))


def test_a_study_ends_in_head_and_tail_of_its_last_split_by_recipe():
    result = StudyResult(
        "small",
        (
            of("ce", (-4.0, -1.0, -4.0), "train"),
            of("ce", (-1.0, -1.0, -2.0)),
            of("ce-sam", (-1.0, -1.0, -4.0)),
        ),
    )
    assert closing_lines(result, GROUPS) == [
        "|λmin/λmax| (accuracy)  ce            ce-sam",
        "head, test images       0.125 (90 %)  0.125 (90 %)",
        "tail, test images       0.250 (70 %)  0.500 (70 %)",
        "The tail's |λmin/λmax| is 2 to 4 times the head's. Verdicts: negative (6 of 6).",
    ]


def test_more_recipes_than_fit_beside_each_other_get_a_line_each():
    recipes = [f"recipe-number-{n}" for n in range(6)]
    lines = closing_lines(
        StudyResult("wide", tuple(of(r, (-1.0, -1.0, -2.0)) for r in recipes)), GROUPS
    )
    assert max(map(len, lines[:-1])) <= 80
    assert [line.split()[0] for line in lines[1:-1]] == recipes


@pytest.mark.parametrize("recipe", ["ce\x1b[2J", "x" * 5000], ids=["escape", "long"])
def test_names_of_recipes_steer_no_terminal(recipe):
    result = StudyResult("strange", (of(recipe, (-1.0, -1.0, -2.0)),))
    shown = "".join(closing_lines(result, GROUPS))
    assert "\x1b" not in shown
    assert len(shown) < 2000


def test_a_study_without_ratios_says_so():
    result = StudyResult("flat", (of("ce", (0.0, 0.0, 0.0), high=0.0),))
    assert closing_lines(result, GROUPS)[-1].startswith("Head and tail were not both measured.")
