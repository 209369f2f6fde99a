"""What the documents and docstrings show works: their Python runs, their commands exist."""

import doctest
import importlib
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import click
import matplotlib.pyplot as plt
import pytest

from cli.main import cli

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("spectra", "checkpoints", "figures")
# Numbers of examples are shown to the digits that every machine agrees on: the rest is "...".
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def python_blocks(text: str) -> list[str]:
    """Return the fenced blocks of a Markdown text that are marked as Python."""
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """Return the commands that a Markdown text shows, in blocks and in lines."""
    fenced = re.findall(r"^```\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line.partition("#")[0] for block in fenced for line in block.splitlines()]
    quoted = re.findall(r"`(spectra [^`]+)`", prose)
    return [" ".join(one.split()) for one in [*lines, *quoted] if one.startswith("spectra ")]


def paths(text: str) -> list[str]:
    """Return the files and folders of the project that a Markdown text names, in commands too."""
    return re.findall(r"[`\s]((?:spectra|checkpoints|figures|cli|tests|docs)/[\w./-]*)[`\s]", text)


def run_blocks(blocks: list[str]) -> dict[str, Any]:
    """Run the blocks of one document after one another, as a reader would; return their names."""
    names: dict[str, Any] = {"__name__": "__example__"}
    for block in blocks:
        exec(compile(block, "<example>", "exec"), names)
    return names


def modules_with_examples() -> list[str]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in paths
        if ">>>" in path.read_text("utf-8")
    ]


def public_names() -> set[str]:
    """Return what the packages' ``__all__`` hold, named by the files where they are defined."""
    packages = [importlib.import_module(name) for name in PACKAGES]
    things = [getattr(package, name) for package in packages for name in package.__all__]
    return {
        f"{thing.__module__}.{thing.__qualname__}"
        for thing in things
        if hasattr(thing, "__qualname__")
    }


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder for what examples write; figures are drawn on nothing and closed."""
    monkeypatch.chdir(tmp_path)
    with plt.rc_context({"backend": "agg"}):
        yield tmp_path
    plt.close("all")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "document", [p for p in DOCUMENTS if python_blocks(p.read_text("utf-8"))], ids=lambda p: p.name
)
def test_python_in_a_document_runs(document):
    run_blocks(python_blocks(document.read_text("utf-8")))


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("module", modules_with_examples())
def test_examples_in_docstrings_give_what_they_show(module):
    ours = importlib.import_module(module)
    packages = {name: importlib.import_module(name) for name in ("torch", *PACKAGES)}
    public = public_names()
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for example in doctest.DocTestFinder().find(ours):
        # A reader of the public face has the packages; one of the source has its file's names.
        inner = not any(f"{example.name}.".startswith(f"{name}.") for name in public)
        example.globs = packages | {"__name__": module} | (vars(ours) if inner else {})
        runner.run(example)
    found = runner.summarize()
    assert found.failed == 0  # what was expected and what came is in the captured output
    assert found.attempted > 0


@pytest.mark.parametrize(
    ("document", "line"), [(p.name, c) for p in DOCUMENTS for c in commands(p.read_text("utf-8"))]
)
def test_a_command_in_a_document_exists_with_its_options(document, line):
    asked = [word for word in shlex.split(line)[1:] if word != "..."]
    command: click.Command = cli
    while isinstance(command, click.Group) and asked and not asked[0].startswith("-"):
        group, names = command, asked.pop(0).split("|")
        missing = [name for name in names if group.get_command(click.Context(group), name) is None]
        assert missing == [], document
        command = group.get_command(click.Context(group), names[0])
    known = {option for parameter in command.params for option in parameter.opts}
    known |= {option for parameter in command.params for option in parameter.secondary_opts}
    unknown = [word for word in asked if re.match(r"-{1,2}[a-z]", word) and word not in known]
    assert unknown == [], document


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name)
def test_files_and_modules_that_a_document_names_are_there(document):
    # What a diff adds is not there yet; tests/house/test_contributing.py applies it.
    text = re.sub(r"```diff\n.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    missing = [path for path in paths(text) if not (ROOT / path).exists()]
    modules = re.findall(r"python -m ((?:spectra|checkpoints|figures|cli)[\w.]*)", text)
    missing += [name for name in modules if importlib.util.find_spec(name) is None]
    assert missing == []


def test_every_fenced_python_block_is_found_and_run_in_order():
    text = "a\n```python\nx = 1\n```\nb\n```\nnot this\n```\n```python\ny = x + 1\n```\n"
    assert python_blocks(text) == ["x = 1\n", "y = x + 1\n"]
    assert run_blocks(python_blocks(text))["y"] == 2


def test_an_example_that_fails_fails_here():
    with pytest.raises(NameError, match="nothing"):
        run_blocks(["x = 1", "nothing"])


def test_commands_are_found_in_blocks_and_in_lines():
    text = (
        "Run `spectra data\nfetch cifar10`, or\n```\nspectra bench --json  # a table\nmake x\n```\n"
    )
    assert commands(text) == ["spectra bench --json", "spectra data fetch cifar10"]
