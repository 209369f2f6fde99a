"""A thousand classes: groups and the classes at either end are shown, not a thousand rows."""

from dataclasses import replace

import pytest
from command_line import unfolded
from drawn_results import analysis, record_of

from cli.display.analyses import analysis_tables, print_analysis, print_sentences
from cli.display.found.trajectories import trajectory_table
from spectra.results.groups.many import MANY
from spectra.results.provenance import ClassGroup

HEAD, TAIL = tuple(range(MANY)), tuple(range(MANY, MANY + 50))


def found(classes=(*HEAD, *TAIL), *, drawn=(), groups=(), epoch=200):
    """Return classes of which class k has λmin −1 − k."""
    records = [record_of(None, str(c), low=-1.0 - c, high=500.0, n=900 - c) for c in classes]
    records += [record_of(None, name, classes=TAIL) for name in groups]
    of_groups = (ClassGroup("head", HEAD), ClassGroup("tail", TAIL, drawn))
    return analysis(*records, class_groups=of_groups, epoch=epoch)


def printed(one, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_analysis(one)
    print_sentences(one.records)
    return capsys.readouterr().out


def test_many_classes_are_printed_on_two_screens_of_80_columns(capsys, monkeypatch):
    lines = printed(found(), capsys, monkeypatch).splitlines()
    assert len(lines) < 90
    assert max(map(len, lines)) <= 80


def test_the_lowest_and_the_highest_classes_are_named(capsys, monkeypatch):
    _, lowest, highest = analysis_tables(found())
    assert [row[0] for row in lowest.rows] == [str(c) for c in range(MANY + 49, MANY + 39, -1)]
    assert [row[0] for row in highest.rows] == [str(c) for c in range(10)]
    assert "every class: --format csv" in unfolded(printed(found(), capsys, monkeypatch))


def test_each_group_and_all_classes_have_a_line():
    groups = analysis_tables(found())[0]
    assert [row[:3] for row in groups.rows] == [
        ["head", "200", "701 to 900"], ["tail", "50", "651 to 700"], ["all", "250", "651 to 900"],
    ]  # fmt: skip
    assert groups.rows[1][3:6] == ["-245", "-226", "-206"]


def test_losses_of_groups_stand_in_a_table_of_their_own():
    _, of_groups, *_ = analysis_tables(found(groups=("tail",)))
    assert [row[0] for row in of_groups.rows] == ["tail"]


def test_as_many_classes_as_before_are_still_shown_one_by_one():
    (table,) = analysis_tables(replace(found(HEAD), protocol=analysis().protocol))
    assert len(table.rows) == MANY


def test_a_sample_is_shown_class_by_class_and_then_said_of_its_group(capsys, monkeypatch):
    drawn = TAIL[::3]
    said = unfolded(printed(found(drawn, drawn=drawn), capsys, monkeypatch))
    assert "17 of 50" in said
    assert "tail: 17 of the 50 classes were drawn at random (seed 0)." in said
    assert "Of all 50, with 95 % confidence: mean λmin -" in said
    assert "negative curvature in 8" in said


def test_classes_chosen_by_hand_are_not_said_to_stand_for_their_group():
    (_, groups) = analysis_tables(found((0, 1, *TAIL[:9]), drawn=TAIL[:9]))
    assert "not drawn at random, so they say nothing of the others" in groups.words[0]


@pytest.mark.parametrize("epochs", [(100, 200)])
def test_a_trajectory_of_many_classes_is_one_of_their_groups(epochs):
    table = trajectory_table("run", [found(epoch=e) for e in epochs], max_steps=9)
    assert table.columns == ["epoch", "head", "tail", "all"]
    assert table.rows[0] == ["100", "0.201 (100)", "0.451 (100)", "0.251 (100)"]
