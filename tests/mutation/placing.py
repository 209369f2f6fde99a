"""Puts a mutant where the project's own code is, in a process that may have imported that."""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path

from mutants import Mutant

PACKAGES = ("spectra", "checkpoints", "figures", "cli")


def swap_functions(root: Path, mutant: Mutant) -> bool:
    """Give the functions that a mutant changes its code; return False where that cannot be.

    It cannot where the change is outside functions, as of a constant or a default, or changes what
    a function closes over.
    """
    path = root / mutant.path
    original = path.read_text("utf-8")
    before, after = (
        compile(text, str(path), "exec", dont_inherit=True)
        for text in (original, mutant.source(original))
    )
    if _without_functions(before) != _without_functions(after):
        return False
    others = {_key(one): other for one, other in _pairs(before, after)}
    found = [f for f in gc.get_objects() if isinstance(f, types.FunctionType)]
    mine = [f for f in found if f.__code__.co_filename == str(path) and _key(f.__code__) in others]
    if not mine:
        return False
    try:
        for function in mine:
            function.__code__ = others[_key(function.__code__)]
    except ValueError:  # other free variables
        return False
    return True


def import_anew(root: Path, mutant: Mutant) -> None:
    """Forget the project and its tests, and have the mutant imported in place of its module."""
    for name, module in list(sys.modules.items()):
        place = getattr(module, "__file__", None) or ""
        of_project = name.partition(".")[0] in PACKAGES or place.startswith(f"{root / 'tests'}/")
        if of_project and Path(place).parent != Path(__file__).parent:
            del sys.modules[name]
    sys.meta_path.insert(0, _MutantFinder(root, mutant))


def _key(code: types.CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _functions(code: types.CodeType) -> list[types.CodeType]:
    return [one for one in code.co_consts if isinstance(one, types.CodeType)]


def _pairs(
    before: types.CodeType, after: types.CodeType
) -> Iterator[tuple[types.CodeType, types.CodeType]]:
    """Yield the codes of a module's functions and classes that differ, inner ones too."""
    for one, other in zip(_functions(before), _functions(after), strict=False):
        if one != other:
            yield one, other
            yield from _pairs(one, other)


def _without_functions(code: types.CodeType) -> tuple[object, ...]:
    """Return what a module or class does when it is imported."""
    inner = [_without_functions(one) for one in _functions(code) if not _is_function(one)]
    plain = [repr(c) for c in code.co_consts if not isinstance(c, types.CodeType)]
    return code.co_code, code.co_names, *plain, *inner


def _is_function(code: types.CodeType) -> bool:
    """Whether it has locals of its own, as functions do, and classes and modules do not."""
    return bool(code.co_flags & 0x02)


class _MutantFinder(importlib.abc.MetaPathFinder):
    """Finds the mutant's module, and no other."""

    def __init__(self, root: Path, mutant: Mutant) -> None:
        self._path = root / mutant.path
        parts = Path(mutant.path).with_suffix("").parts
        self._is_package = parts[-1] == "__init__"
        self._name = ".".join(parts[:-1] if self._is_package else parts)
        self._mutant = mutant

    def find_spec(self, name, path=None, target=None):
        if name != self._name:
            return None
        inside = [str(self._path.parent)] if self._is_package else None
        loader = _MutantLoader(name, str(self._path), self._mutant)
        return importlib.util.spec_from_file_location(
            name, self._path, loader=loader, submodule_search_locations=inside
        )


class _MutantLoader(importlib.machinery.SourceFileLoader):
    """Compiles the mutant's source where the file's would be; nothing is cached."""

    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> types.CodeType:
        original = Path(self.path).read_text("utf-8")
        return compile(self._mutant.source(original), self.path, "exec", dont_inherit=True)
