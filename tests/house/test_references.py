"""What docstrings refer to is there, under the name that they give it."""

import ast
import builtins
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("spectra", "checkpoints", "figures", "cli")
# Their imports need what is not installed with the project, or run something.
LEFT_OUT = ("__main__.py", "spectra/classes/huggingface.py", "spectra/classes/lightning.py")
REFERENCE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?([\w.\s]+)`")


def modules() -> Iterator[str]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not path.as_posix().endswith(LEFT_OUT):
                parts = path.relative_to(ROOT).with_suffix("").parts
                yield ".".join(parts).removesuffix(".__init__")


def references(tree: ast.Module) -> Iterator[tuple[str | None, str]]:
    """Yield what the docstrings of a file refer to, each with the class that it stands in."""

    def within(node: ast.AST, owner: str | None) -> Iterator[tuple[str | None, str]]:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            for name in REFERENCE.findall(ast.get_docstring(node) or ""):
                yield owner, re.sub(r"\s", "", name)
        for inner in ast.iter_child_nodes(node):
            yield from within(inner, inner.name if isinstance(inner, ast.ClassDef) else owner)

    return within(tree, None)


def is_there(name: str, module: ModuleType, owner: str | None) -> bool:
    """Say whether ``name`` is in the class, in the file, beside it, or a full name."""
    if name.startswith("."):
        name = module.__name__.rpartition(".")[0] + name
    places: list[Any] = [module, builtins]
    if owner is not None:
        places.insert(0, getattr(module, owner))
    return any(leads_on(place, name.split(".")) for place in places) or is_full(name)


def is_full(name: str) -> bool:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        return leads_on(found, parts[count:])
    return False


def leads_on(place: Any, parts: list[str]) -> bool:
    for part in parts:
        if not hasattr(place, part):
            # A field without a default is no attribute of its class, only a note about it.
            return inspect.isclass(place) and any(
                part in vars(base).get("__annotations__", {}) for base in place.__mro__
            )
        place = getattr(place, part)
    return True


@pytest.mark.parametrize("name", list(modules()))
def test_what_a_docstring_refers_to_is_there(name):
    module = importlib.import_module(name)
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    missing = [ref for owner, ref in references(tree) if not is_there(ref, module, owner)]
    assert missing == []


def test_a_name_that_has_gone_is_seen():
    text = '"""See :func:`spectra.slq`, :func:`spectra.gone` and :class:`Path`."""'
    found = [name for _, name in references(ast.parse(text))]
    here = importlib.import_module(__name__)
    assert [name for name in found if not is_there(name, here, None)] == ["spectra.gone"]
