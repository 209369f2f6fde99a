"""The tab key: what is offered for a word that is begun."""

import shutil
import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete
from command_line import invoke

from cli.main import cli

OFFERED = [
    ("analyze", "bundled:digits/ce-d", ["bundled:digits/ce-drw", "bundled:digits/ce-drw-sam"]),
    ("images", "bundled:digits/ce-drw@1", [f"bundled:digits/ce-drw@{e}"
                                          for e in (10, 100, 160, 161, 170, 190)]),
    ("train", "vs", ["vs", "vs-sam"]),
    ("recipes", "ldam-drw-", ["ldam-drw-sam"]),
    ("reproduce", "th", ["theorem"]),
    ("analyze x --classes", "0,t", ["0,tail"]),
    ("sam x --class", "", ["all", "overall", "head", "mid", "tail"]),
    ("train ce --data", "cifar", ["cifar10", "cifar100"]),
    ("claim", "p", ["papyan2020"]),
    ("", "rec", ["recipes", "recurrences"]),
    ("analyze x --split", "te", ["test"]),
]  # fmt: skip


@pytest.mark.parametrize(("before", "begun", "expected"), OFFERED)
def test_names_are_offered_that_begin_as_the_word_does(before, begun, expected):
    complete = ShellComplete(cli, {}, "spectra", "_SPECTRA_COMPLETE")
    found = complete.get_completions(before.split(), begun)
    assert sorted(item.value for item in found) == sorted(expected)


def test_what_is_no_bundled_name_is_left_to_the_files_of_the_shell():
    complete = ShellComplete(cli, {}, "spectra", "_SPECTRA_COMPLETE")
    for command in ("analyze", "train"):
        (item,) = complete.get_completions([command], "runs/mi")
        assert item.type == "file"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_this_command(shell):
    shown = invoke("completion", shell)
    assert shown.exit_code == 0
    assert f"_SPECTRA_COMPLETE={shell}_complete" in shown.stdout


def test_bash_takes_the_script_and_keeps_words_whole(tmp_path):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    (tmp_path / "script").write_text(invoke("completion", "bash").stdout)
    done = subprocess.run(
        [bash, "-c", '. ./script; complete -p spectra; echo "$COMP_WORDBREAKS"'],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.startswith("complete")
    assert ":" not in done.stdout.splitlines()[-1]


def test_completion_imports_no_torch():
    code = (
        "import sys; from click.shell_completion import ShellComplete; from cli.main import cli; "
        "found = ShellComplete(cli, {}, 'spectra', '_X').get_completions(['analyze'], 'bundled:'); "
        "print(len(found) > 5, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_a_shell_that_is_not_known_is_named():
    with pytest.raises(click.BadParameter, match="'csh' is not one of"):
        cli.get_command(click.Context(cli), "completion").make_context("completion", ["csh"])
