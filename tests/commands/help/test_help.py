"""Help is there at once, without torch, and shows the options under headings."""

import json
import resource
import subprocess
import sys

import pytest
from command_line import invoke

from cli.main import COMMANDS

GROUPS = {
    "checkpoints": ("list", "inspect", "import"),
    "claim": ("alain2019", "ghorbani2019", "papyan2020"),
    "data": ("show", "fetch"),
}
EVERY_COMMAND = [
    (),
    *((name,) for name in COMMANDS),
    *((name, below) for name, commands in GROUPS.items() for below in commands),
]
# All in one process: what a command imports is looked at as soon as its help is there.
CODE = """
import json, sys
from cli.main import cli
heavy = {"torch", "scipy", "matplotlib", "sklearn", "pyhessian", "safetensors"}
found = {}
for words in json.loads(sys.argv[1]):
    try:
        cli.main([*words, "--help"], prog_name="spectra")
    except SystemExit as end:
        found[" ".join(words)] = [end.code, sorted(heavy & set(sys.modules))]
print(json.dumps(found))
"""


def test_help_of_every_command_imports_no_heavy_library():
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(EVERY_COMMAND)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1]) == {
        " ".join(words): [0, []] for words in EVERY_COMMAND
    }


@pytest.mark.parametrize("command", ["analyze", "bench"])
def test_help_takes_less_than_a_second_of_cpu(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "cli.main", command, "--help"], capture_output=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # It takes .1 s; torch alone would take more than one.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_in_the_overview_what_it_does(command):
    line = next(
        line for line in invoke("--help").stdout.splitlines() if line.startswith(f"  {command} ")
    )
    assert len(line.split()) > 2
    assert not line.endswith("...")


def test_an_unknown_command_is_named():
    result = invoke("analyse")
    assert result.exit_code == 2
    assert "No such command 'analyse'; did you mean 'analyze'?" in result.stderr
    assert "did you mean" not in invoke("xyzzy").stderr


def test_options_of_analyze_stand_under_headings_that_follow_each_other():
    shown = invoke("analyze", "--help").stdout.splitlines()
    headings = [line.rstrip(":") for line in shown if line.endswith(":") and line[:1].isalpha()]
    assert headings == [
        "Data", "What the checkpoint's file does not say", "What is analyzed", "Solver",
        "Certificates", "Computing", "Output", "Options", "Examples",
    ]  # fmt: skip


def test_no_argument_is_among_the_options():
    shown = invoke("analyze", "--help").stdout
    assert shown.count("CHECKPOINT") == shown.partition("\nData:")[0].count("CHECKPOINT")
