"""Every command shows two examples at the end of its help, and they are ones that it takes."""

import re
import shlex

import click
import pytest
from command_line import invoke

from cli.main import COMMANDS, cli


def every_command() -> dict[str, click.Command]:
    """Return the commands and those below groups, by what is typed for them."""
    context = click.Context(cli)
    found = {}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        found[name] = command
        below = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{name} {word}": one for word, one in below.items()}
    return found


EVERY = every_command()
# How a command is started in several processes, in place of ``spectra``.
SEVERAL = re.compile(r"^torchrun --nproc-per-node \d+ -m cli ")


def lines(command: click.Command) -> list[str]:
    """Return the examples, as one process is given them."""
    return [SEVERAL.sub("spectra ", line) for line in command.examples if not line.startswith("#")]


@pytest.mark.parametrize("name", EVERY)
def test_a_command_has_two_examples_at_the_end_of_its_help(name):
    command = EVERY[name]
    assert len(lines(command)) >= 2
    assert all(line.startswith(f"spectra {name}") for line in lines(command))
    assert len(command.examples) == 2 * len(lines(command)), "each says what it does"
    shown = invoke(*name.split(), "--help").stdout
    assert shown.endswith("".join(f"  {line}\n" for line in command.examples))


@pytest.mark.parametrize("name", EVERY)
def test_help_fits_80_columns(name):
    assert max(map(len, invoke(*name.split(), "--help").stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", ["spectra", *EVERY])
def test_an_example_is_parsed_by_its_command(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = EVERY.get(name, cli)
    assert lines(command)
    for line in lines(command):
        words = shlex.split(line)[1:]
        for redirection in (">", ">>"):
            words = words[: words.index(redirection)] if redirection in words else words
        of, parent = cli, click.Context(cli, info_name="spectra")
        while isinstance(of, click.Group):
            of = of.get_command(parent, words.pop(0))
            if isinstance(of, click.Group):
                parent = click.Context(of, parent, of.name)
        with of.make_context(of.name, words, parent=parent) as context:
            assert context.command is of


def test_every_command_stands_under_one_heading_of_the_first_page():
    shown = invoke("--help").stdout
    for name in COMMANDS:
        assert sum(line.startswith(f"  {name} ") for line in shown.splitlines()) == 1
    assert "checkpoint_file" not in shown


def test_limits_are_listed_where_they_are_asked_for():
    shown = invoke("--limit", "help")
    assert shown.exit_code == 0
    assert "  checkpoint_file     a checkpoint's file (16 GiB)" in shown.stdout.splitlines()


def test_help_of_reproduce_names_the_studies():
    shown = invoke("reproduce", "--help").stdout
    assert "\nStudies:\n  cifar10-lt-table     Accuracy on CIFAR-10-LT\n" in shown
