"""The examples of the docstrings give what they show; tests/docs/ runs those of the pages."""

import doctest
import importlib
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("spectra", "checkpoints", "figures")
# Numbers of examples are shown to the digits that every machine agrees on: the rest is "...".
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


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
