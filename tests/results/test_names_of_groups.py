"""Groups of classes are called many, medium and few where the data are such, in all tables."""

from dataclasses import replace

import pytest
from drawn_results import analysis, record_of

from checkpoints import AnalysisRequest
from checkpoints.analysis.named_classes import parse_selection
from cli.display.found.study_tables import recipes_table
from cli.display.studies import closing_lines
from figures.studies.recipes import recipe_table_markdown
from spectra.results.recipe_rows import recipe_rows
from spectra.results.study_result import StudyResult

COUNTS = (300, 50, 30, 5)
GROUPS = {"many": (0,), "medium": (1, 2), "few": (3,)}


@pytest.mark.parametrize(("word", "label"), [("tail", "few"), ("few", "few"), ("head", "many")])
def test_either_word_names_a_group_of_photographs(word, label):
    assert parse_selection(word, GROUPS, num_classes=4) == {label: GROUPS[label]}


def test_few_is_the_tail_of_data_that_have_one():
    groups = {"head": (0,), "mid": (1,), "tail": (2,)}
    assert parse_selection("few,medium", groups, num_classes=3) == {"tail": (2,), "mid": (1,)}


def test_groups_by_training_images_are_asked_for_by_name():
    assert AnalysisRequest(groups="many/medium/few").groups_of(COUNTS) == GROUPS


def test_a_thousand_classes_have_the_papers_groups_by_default():
    groups = AnalysisRequest().groups_of(tuple(range(1000, 0, -1)))
    assert {name: len(own) for name, own in groups.items()} == {
        "many": 390, "medium": 445, "few": 165,
    }  # fmt: skip


@pytest.fixture
def study():
    records = [replace(record_of(None, str(c), low=-0.1 * (c + 1)), accuracy=0.5) for c in range(4)]
    return StudyResult("photos", (analysis(*records),))


def test_tables_of_a_study_name_the_groups_as_they_are_called(study):
    columns = recipes_table(study, GROUPS).columns
    markdown = recipe_table_markdown(recipe_rows(study, GROUPS)).splitlines()[0]
    for text in (" ".join(columns), markdown):
        assert all(f"{name} %" in text for name in GROUPS)
        assert "tail" not in text


def test_a_study_of_photographs_ends_on_the_few_and_the_many(study):
    closing = " ".join(closing_lines(study, GROUPS))
    assert "The few's |λmin/λmax| is 4 times the many's" in closing
