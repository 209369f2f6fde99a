"""The floor plan: sizes of files and folders, depth, circles, and which rooms there are.

Everything is read with ``ast`` and ``tomllib``; nothing of the project is imported.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("spectra", "checkpoints", "figures", "cli")
# Where Python files lie, and the folder that their imports are relative to.
TREES = {
    **dict.fromkeys(PACKAGES, ROOT),
    "tests": ROOT / "tests",
    "docs/study": ROOT / "docs/study",
    "docs/mkdocs": ROOT / "docs/mkdocs",
}
LONGEST_FILE = 300
LARGEST_FOLDER = 12
DEEPEST = 2
CLI = {"__init__", "__main__", "main", "options", "display", "commands", "bench"}


def python_files(tree: str) -> list[Path]:
    return sorted((ROOT / tree).rglob("*.py"))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("tree", TREES)
def test_no_file_is_longer_than_300_lines(tree):
    lines = {shown(path): len(path.read_text("utf-8").splitlines()) for path in python_files(tree)}
    assert {path: n for path, n in lines.items() if n > LONGEST_FILE} == {}


@pytest.mark.parametrize("tree", TREES)
def test_no_folder_holds_more_than_12_python_files(tree):
    folders = {path.parent for path in python_files(tree)}
    sizes = {shown(folder): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: n for folder, n in sizes.items() if n > LARGEST_FOLDER} == {}


@pytest.mark.parametrize("tree", TREES)
def test_no_code_lies_deeper_than_two_folders_below_its_package(tree):
    depths = {shown(p): len(p.relative_to(ROOT / tree).parts) - 1 for p in python_files(tree)}
    assert [path for path, depth in depths.items() if depth > DEEPEST] == []


def test_no_two_test_files_have_the_same_name():
    """Pytest would take one for the other."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_cli_holds_commands_options_display_and_the_bench_alone():
    assert rooms("cli") == CLI


@pytest.mark.parametrize("package", ["spectra", "checkpoints", "cli/bench"])
def test_the_rooms_are_those_that_the_layers_name(package):
    assert rooms(package) - {"__init__"} == set(layers(package))


def test_no_files_import_each_other_in_a_circle():
    """Imports in functions and under TYPE_CHECKING are counted as well."""
    graph = import_graph()
    assert [sorted(circle) for circle in circles(graph)] == []


def test_a_circle_of_files_is_found():
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"b", "e"}, "e": set(), "f": {"a"}}
    assert [sorted(circle) for circle in circles(graph)] == [["a", "b", "c", "d"]]
    assert list(circles({"a": {"b"}, "b": set()})) == []


def test_imports_of_every_kind_are_in_the_graph(tmp_path):
    (tmp_path / "room").mkdir()
    for name, text in {
        "room/__init__.py": "from room.first import thing",
        "room/first.py": "def work():\n    import room.second",
        "room/second.py": "from . import third",
        "room/third.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from .first import thing",
        "door.py": "from room import thing, second",
    }.items():
        (tmp_path / name).write_text(text)
    modules = {module_name(path, tmp_path): path for path in tmp_path.rglob("*.py")}
    assert {name: imported(path, name, modules) for name, path in modules.items()} == {
        "room": {"room.first"},
        "room.first": {"room.second"},
        "room.second": {"room.third"},
        "room.third": {"room.first"},
        "door": {"room", "room.second"},
    }


def rooms(package: str) -> set[str]:
    """Return the names of the folders that hold Python files, and of the files beside them."""
    return {path.relative_to(ROOT / package).parts[0].removesuffix(".py") for path in
            python_files(package)}  # fmt: skip


def layers(package: str) -> list[str]:
    """Return the rooms of a package that pyproject.toml puts in order."""
    container = package.replace("/", ".")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (named,) = (one["layers"] for one in contracts if one.get("containers") == [container])
    return [room.strip() for layer in named for room in layer.replace(":", "|").split("|")]


def import_graph() -> dict[str, set[str]]:
    """Return, for every file by its module name, the files that it imports."""
    modules = {module_name(p, root): p for tree, root in TREES.items() for p in python_files(tree)}
    return {name: imported(path, name, modules) for name, path in modules.items()}


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, name: str, modules: dict[str, Path]) -> set[str]:
    """Return the modules, of ``modules``, that a file names in its imports, wherever they stand.

    A package whose name is on the way to a module is not counted: what its ``__init__`` imports is
    the ``__init__``'s own.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in modules else base)
    return found & set(modules) - {name}


def circles(graph: dict[str, set[str]]) -> Iterator[set[str]]:
    """Yield the sets of files that all reach each other, of two files or more."""
    reached = {name: reachable(graph, name) for name in graph}
    seen: set[str] = set()
    for name in graph:
        if name in seen or name not in reached[name]:
            continue
        circle = {other for other in reached[name] if name in reached[other]}
        seen |= circle
        yield circle


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph[waiting.pop()] - found:
            found.add(name)
            waiting.append(name)
    return found
