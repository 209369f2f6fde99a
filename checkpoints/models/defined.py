"""Which networks the Python files of a folder define, read without running them."""

import ast
import os
from collections.abc import Sequence
from pathlib import Path

# Ours: a folder of experiments, not the whole of somebody's home; and no generated file.
_MOST_FILES, _LARGEST = 50, 2**18


def networks_defined_in(folders: Sequence[Path]) -> list[str]:
    """Return networks as ``--arch`` takes them: ``net.py:Net``; whole ones, not their parts.

    A class is one where a base of it is called Module, or is such a class of the same file. Those
    that the same file uses to build others are parts.
    """
    files: dict[Path, str] = {}
    for folder in folders:
        for file in sorted(folder.glob("*.py"))[:_MOST_FILES]:
            shown = os.path.relpath(file)
            files.setdefault(file.resolve(), str(file) if shown.startswith("..") else shown)
    return [
        f"{shown}:{name}"
        for file, shown in files.items()
        for name in networks_defined_in_file(file)
    ]


def networks_defined_in_file(file: Path) -> list[str]:
    """Return the names of the whole networks that a file defines; none where it is unreadable."""
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST:
            return []
        tree = ast.parse(file.read_text("utf-8"))
    except (OSError, ValueError, SyntaxError, RecursionError):
        return []
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    networks: list[str] = []
    for node in classes:
        bases = [_last_name(base) for base in node.bases]
        if any(base.endswith("Module") or base in networks for base in bases):
            networks.append(node.name)
    used = {
        _last_name(call.func)
        for node in classes
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
    }
    used |= {_last_name(base) for node in classes for base in node.bases}
    return [name for name in networks if name not in used]


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
