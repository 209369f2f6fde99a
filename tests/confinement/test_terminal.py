"""What a stranger's file says reaches no terminal as anything but text."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import invoke
from drawn_results import analysis, record_of
from hostile_files import write_checkpoint

import cli
from cli.display.lines import OneLine
from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from spectra import save_analysis

EVIL = (
    "evil\x1b[31m\x1b]8;;http://x\x07\x9b2J\nError: forged\r\u2028Error: forged\u202e\u200b\ud800"
    "[red]x[/red][link=http://y]:smile:"
)
# Of a checkpoint that is read: names that no file could hold are refused.
READ = EVIL.replace("\ud800", "")


def unseen(text):
    return [c for c in text if not c.isprintable() and c != "\n"]


def checked(result):
    """Return what was printed, which holds nothing unseen and no forged line."""
    for text in (result.stdout, result.stderr):
        assert unseen(text) == []
        assert not any(line.lstrip().startswith("Error: forged") for line in text.splitlines())
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def checkpoint(tmp_path):
    return write_checkpoint(
        tmp_path / "checkpoints" / "epoch-0001.safetensors",
        name=READ, notes=[READ], versions={READ: READ}, metrics={READ: READ},
        data={"source": "npz", "name": READ, READ: READ}, recipe={"name": READ},
    )  # fmt: skip


def test_metadata_of_a_checkpoint_are_shown_as_text(checkpoint):
    result = checked(invoke("checkpoints", "inspect", checkpoint))
    assert result.exit_code == 0, result.output
    assert r"evil\x1b[31m" in re.sub(r"\s+", " ", result.stdout)
    assert "[red]" in result.stdout
    assert ":smile:" in result.stdout


def test_json_holds_what_the_file_says_and_steers_no_terminal(checkpoint):
    result = checked(invoke("checkpoints", "inspect", checkpoint, "--json"))
    assert json.loads(result.stdout)["name"] == READ


@pytest.mark.parametrize(
    "command",
    [["checkpoints", "inspect"], ["checkpoints", "list"], ["analyze", "--no-figures"], ["sam"],
     ["trajectory"], ["claim", "ghorbani2019"]],
    ids=" ".join,
)  # fmt: skip
def test_a_refusal_is_one_line_of_text(command, tmp_path):
    for place, metadata in {
        "arch": {"arch": f"{EVIL}:f"},
        "data": {"data": {"source": "npz", "name": EVIL}, "name": EVIL},
        "wrong": {"recipe": {"name": EVIL, EVIL: EVIL}, "seed": EVIL, "name": EVIL},
    }.items():
        found = write_checkpoint(tmp_path / place / "epoch-0001.safetensors", **metadata)
        checked(invoke(*command, found))


def test_names_in_a_result_are_shown_as_text(tmp_path):
    found = analysis(record_of(None, READ, classes=(0,)))
    found = replace(found, checkpoint=replace(found.checkpoint, name=READ))
    save_analysis(tmp_path / "analysis.json", found)
    for command in (["plot"], ["report"], ["check-spectrum"], ["claim", "ghorbani2019"]):
        checked(invoke(*command, tmp_path / "analysis.json"))
    result = invoke("plot", tmp_path / "analysis.json", "--classes", "5", "-o", tmp_path / "out")
    assert "evil" in checked(result).stderr


def test_a_study_of_any_name_is_named_as_text(tmp_path):
    (tmp_path / "study.toml").write_text(f'name = {json.dumps(EVIL[:-60])}\n[train]\n"\\u001b" = 1')
    checked(invoke("pipeline", tmp_path / "study.toml", "-o", tmp_path / "out"))


def test_a_table_takes_any_cell(capsys):
    print_table(Table(EVIL, [EVIL, "b"], [[EVIL, "1"], ["x" * 30_000, "2"]]))
    printed = capsys.readouterr().out
    assert unseen(printed) == []
    assert "[link=http://y]:smile:" in printed
    assert max(map(len, printed.splitlines())) < 11_000


def test_progress_takes_any_text(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "600")
    with reporting("[/red]") as report:
        report.update(EVIL, 1, 2)
        report._progress.refresh()
    assert "Error: forged\r" not in capsys.readouterr().err


def test_what_loggers_say_is_one_line():
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s", (EVIL,), None)
    assert unseen(OneLine().format(record)) == []
    assert "\n" not in OneLine().format(record)


def test_commands_print_in_one_place():
    """``say`` and its neighbours, which make text printable, and the handler of failures."""
    allowed = {"display/lines.py", "options/group.py"}
    root = Path(cli.__path__[0])
    printing = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"click\.s?echo\(", path.read_text("utf-8"))
    }
    assert printing == allowed


def test_a_traceback_that_was_asked_for_is_text_too(checkpoint):
    result = invoke("--debug", "analyze", checkpoint)
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert unseen(result.stderr) == []
