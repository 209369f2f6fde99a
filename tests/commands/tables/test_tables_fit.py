"""Every table fits 80 columns, folds between words alone, and explains its columns and words."""

from dataclasses import replace

import pytest
from command_line import unfolded
from drawn_results import analysis, record_of

from cli.display.analyses import analysis_table
from cli.display.found.protocols import protocols_table
from cli.display.found.study_tables import classes_table, recipes_table
from cli.display.found.trajectories import stationary_table, trajectory_table
from cli.display.tables import Table, print_table
from cli.display.words import duration, number, whole_percent
from spectra.findings.verdict import VERDICTS, Verdict
from spectra.landscape.bending import Bending
from spectra.landscape.stationary_point import STATIONARY_NAMES, StationaryPoint
from spectra.results.protocol_rows import ProtocolRow
from spectra.results.said.short_words import (
    labels_in_words,
    near_legend,
    near_word,
    verdict_legend,
    verdict_word,
)
from spectra.results.study_result import StudyResult

BENDING = Bending(
    radius=0.1, loss=0.02, secants=((0.1, 0.9),), predicted_with=0.6, predicted_without=0.3,
    lowered_with=0.6, lowered_without=0.3, share=0.5,
)  # fmt: skip
SLOPE = StationaryPoint("slope, tail", "‖g‖ has a minimum of .04", 0.5, 1.0, 0.04)
# The longest numbers that there are.
WIDE = {"low": -2.28e-5, "high": 1.23e3, "n": 5000, "grad_norm": 1.05e-5, "accuracy": 1.0}


def wide(label: str, **fields):
    found = record_of(None, label, **WIDE)
    return replace(found, loss=1.05e-5, bending=BENDING, **fields)


def row(protocol: str, verdict: str = "negative curvature") -> ProtocolRow:
    return ProtocolRow(
        "overall", protocol, 5000, 1.05e-5, -2.28e-5, 1e-7, 1.23e3, 1.05e-5, None, verdict, 1.05e-5,
        0.0123, 0.0123, -2.28e-5, 1.23e3, 1.05e-5, 1.23e-12,
    )  # fmt: skip


ANALYZED = analysis(wide("overall"), wide("8", converged=False), wide("tail", stationary=SLOPE))
STUDY = StudyResult(
    "study",
    (analysis(*map(wide, "0123")), replace(analysis(*map(wide, "0123"), seed=1))),
)
GROUPS = {"head": (0,), "mid": (1, 2), "tail": (3,)}
TABLES = {
    "analysis": analysis_table(ANALYZED),
    "protocols": protocols_table(
        "digits/ce-drw", [row("frozen:16"), row("fresh/pyhessian", "not a fixed matrix")]
    ),
    "trajectory": trajectory_table("ce-drw", [ANALYZED, ANALYZED], max_steps=300),
    "stationary points": stationary_table("ce-drw", [ANALYZED]),
    "classes of a study": classes_table(STUDY, "ce-drw"),
    "recipes of a study": recipes_table(STUDY, GROUPS),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_fits_80_columns_and_no_word_of_it_is_broken(name, monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    table = TABLES[name]
    print_table(table)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    drawn = lines[lines.index(next(line for line in lines if line.startswith("─"))) + 1 :]
    words = {word for line in drawn for word in line.split()}
    shown = [k for k, column in enumerate(table.columns) if column not in table.optional]
    for cells in table.rows:
        assert {word for k in shown for word in cells[k].split()} <= words
    assert not any(": " in line for line in drawn[: len(table.rows)]), "a line for every cell"


@pytest.mark.parametrize("name", TABLES)
def test_what_is_said_of_columns_is_said_of_columns_that_there_are(name):
    table = TABLES[name]
    legend = " ".join(table.legend())
    for column in table.columns:
        if column in table.meanings:
            assert f"{column}: {table.meanings[column]}" in legend
    assert all(len(cells) == len(table.columns) for cells in table.rows)


def test_what_is_left_out_is_not_explained(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    print_table(analysis_table(ANALYZED))
    assert "residual: " in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "80")
    print_table(analysis_table(ANALYZED))
    assert "residual: " not in capsys.readouterr().out


def test_the_table_says_which_images_each_accuracy_is_of():
    train, test = analysis_table(ANALYZED), analysis_table(replace_split(ANALYZED, "test"))
    assert {"train %", "test %"} <= set(train.columns)
    assert "train %" not in test.columns
    assert test.columns.count("test %") == 1
    assert analysis_table(replace_split(ANALYZED, None)).columns[2] == "right %"


def replace_split(found, split):
    return replace(found, protocol=replace(found.protocol, split=split))


@pytest.mark.parametrize("name", VERDICTS)
def test_every_verdict_has_a_short_word_and_a_line_that_explains_it(name):
    (line,) = verdict_legend([name])
    assert line.startswith(f"{verdict_word(name)}: ")
    assert len(verdict_word(name)) <= 8
    assert len(line) <= 78


@pytest.mark.parametrize("name", STATIONARY_NAMES)
def test_every_point_near_by_has_a_short_word_and_a_line_that_explains_it(name):
    (line,) = near_legend([name])
    assert line.startswith(f"{near_word(name)}: ")
    assert len(line) <= 78


def test_only_the_words_that_occur_are_explained():
    assert analysis_table(analysis(record_of(None))).words == verdict_legend([VERDICTS[0]])
    old = replace(record_of(None), verdict=Verdict("descent", "an old file's", 0.1, 1e-3, None))
    (line,) = analysis_table(analysis(old)).words
    assert line.startswith("descent: by the rule of an earlier version")


@pytest.mark.parametrize(
    ("labels", "said"),
    [("8", "class 8"), ("89", "classes 8, 9"), ("0123579", "classes 0 to 3, 5, 7, 9"),
     (["tail"], "tail"), (["0", "1", "2", "head"], "classes 0 to 2, head"), ([], "")],
)  # fmt: skip
def test_labels_are_named_in_words(labels, said):
    assert labels_in_words(labels) == said


def test_many_labels_are_counted():
    assert labels_in_words(map(str, range(0, 100, 2))).endswith("20, 22 and 38 more")


def test_columns_without_a_number_are_left_out():
    table = Table("t", ["a", "b"], [["1", "-"], ["2", "-"]], optional=["b"]).without_empty("a", "b")
    assert (table.columns, table.rows, table.optional) == (["a"], [["1"], ["2"]], [])


def test_numbers_are_as_short_as_they_can_be():
    assert [number(x) for x in (-2.28e-5, 1234.0, 0.25, None)] == [
        "-2.28e-5",
        "1.23e3",
        "0.25",
        "-",
    ]
    assert [whole_percent(x) for x in (0.724, 0.001, 0.0, 1.0, None)] == ["72", "<1", "0", "100",
                                                                        "-"]  # fmt: skip
    assert [duration(x) for x in (0.4, 59, 90, 7800)] == ["0 s", "59 s", "2 min", "2 h 10 min"]


def test_prose_is_folded_between_words(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    said = "a sentence of some words --and-an-option-that-is-longer-than-the-terminal-is-wide end"
    print_table(Table("t", ["a"], [["1"]], unusual=[said]))
    printed = capsys.readouterr().out
    assert said in unfolded(printed)
    assert "--and-an-option-that-is-longer-than-the-terminal-is-wide" in printed
