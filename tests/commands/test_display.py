"""Tables and progress, in a terminal, a pipe and a log."""

import json

from command_line import SMALL, invoke, unfolded

from cli.display.tables import Table, print_table
from cli.display.words import number
from spectra import load_analysis
from spectra.results.said.short_words import verdict_word


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


def test_a_log_gets_lines_of_progress_and_standard_output_none(tmp_path, monkeypatch):
    monkeypatch.setattr("cli.display.progress.LOG_EVERY", 0.0)
    result = invoke("train", "ce", "--epochs", 2, "--n-max", 20, "--json", "-o", tmp_path)
    assert [line.rpartition(" ")[2] for line in result.stderr.splitlines()] == ["1/2", "2/2"]
    json.loads(result.stdout)
