"""Tables and progress, in a terminal, a pipe and a log."""

import json
import re
import time

import pytest
from command_line import SMALL, invoke, unfolded

from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from cli.display.words import number
from spectra import load_analysis
from spectra.results.said.short_words import verdict_word
from spectra.system.progress import work_on_images


def test_a_narrow_table_folds_between_words_alone(analysis_folder, run_folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    result = invoke("analyze", run_folder, "--classes", "0,9,tail", "-o", analysis_folder, *SMALL)
    assert "a wider terminal shows residual, " in unfolded(result.stdout)
    table = result.stdout.partition("written:")[0].splitlines()
    assert max(map(len, table)) <= 70
    words = {word.lstrip("≤≥") for line in table for word in line.split()}
    for record in load_analysis(analysis_folder / "analysis.json").records:
        wanted = {number(record.lambda_min), number(record.lambda_max), number(record.ratio)}
        assert wanted | {verdict_word(record.verdict.name)} <= words


def test_a_terminal_too_narrow_for_any_table_gets_a_line_for_each_cell(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "12")
    print_table(Table("numbers", ["first", "second"], [["1.25e-05", "two words"]]))
    assert capsys.readouterr().out.split("\n\n")[1] == "first: 1.25e-05\nsecond: two words"


def test_a_log_gets_a_line_now_and_then_and_standard_output_none(capsys, monkeypatch):
    monkeypatch.setattr("cli.display.progress.LOG_EVERY", 0.02)
    with reporting("analyzing") as report:
        spoken(capsys, "analyzing: 0 s until now")
        report.update("class 8 (9 of 10)", 40, 80)
        spoken(capsys, "class 8 (9 of 10): 40 of 80, 85 %")
    assert capsys.readouterr().out == ""


def test_what_is_left_follows_from_what_was_done_since_it_began(capsys, monkeypatch):
    monkeypatch.setattr("cli.display.progress.LOG_EVERY", 60.0)
    clock = [0.0]
    monkeypatch.setattr("cli.display.progress.time.monotonic", lambda: clock[0])
    with reporting("training") as report:
        report.update("ce", 50, 100)  # by an interrupted run
        clock[0] = 120.0
        work_on_images(60_000)
        report.update("ce", 60, 100)
        report.say()
    assert capsys.readouterr().err == "ce: 60 of 100, 60 %, 500 images/s, 8 min left\n"


def test_runs_under_way_at_once_have_a_line_each_until_they_are_done(capsys, monkeypatch):
    monkeypatch.setattr("cli.display.progress.LOG_EVERY", 60.0)
    with reporting("study", several=True) as report:
        report.update("one train", 1, 4)
        report.update("two train", 2, 4)
        report.update("one epoch 3", 4, 4)
        report.say()
        report.update("three train", 1, 4)
        report.say()
        report.update("two train", 3, 4)
        report.say()
    said = [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()]
    first, second, third = said[:2], said[2:3], said[3:]
    assert first == ["one epoch 3: 4 of 4", "two train: 2 of 4"]
    assert second == ["three train: 1 of 4"], "of those that have spoken since"
    assert third == ["two train: 3 of 4"]


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        ("class 8 (9 of 10)", "class 8 (9 of 10) bending", 90),  # its second kind of work
        ("class 8 (9 of 10)", "class 9 (10 of 10)", 90),
        ("train", "epoch 200 (1 of 8) class 0 (1 of 10)", 0),  # another whole
        ("class tail (13 of 13)", "class 0 (1 of 13)", 0),  # of other images
    ],
)
def test_the_share_falls_only_where_another_whole_begins(capsys, monkeypatch, before, after, share):
    monkeypatch.setattr("cli.display.progress.LOG_EVERY", 60.0)
    with reporting("study") as report:
        report.update(before, 80, 80)
        report.update(after, 0, 80)
        report.say()
    assert f"0 of 80, {share} %" in capsys.readouterr().err


def test_a_download_is_counted_in_megabytes(capsys, monkeypatch):
    monkeypatch.setattr("cli.display.progress.LOG_EVERY", 60.0)
    with reporting("downloading", in_bytes=True) as report:
        report.update("cifar10", 17_000_000, 170_000_000)
        report.say()
    assert capsys.readouterr().err.startswith("cifar10: 17 of 170 MB, 10 %")


def test_a_training_says_how_far_it_is_on_standard_error_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("cli.display.progress.LOG_EVERY", 0.01)
    result = invoke("train", "ce", "--epochs", 3, "--n-max", 20, "--json", "-o", tmp_path)
    assert re.search(r"[12] of 3, (33|67) %, [\d,]+ images/s", result.stderr)
    json.loads(result.stdout)


def spoken(capsys, text: str) -> None:
    """Wait until a log has a line that begins with ``text``."""
    until = time.monotonic() + 5
    while text not in capsys.readouterr().err:
        assert time.monotonic() < until, f"no line says {text}"
        time.sleep(0.01)
