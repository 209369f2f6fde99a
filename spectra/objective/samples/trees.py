"""Trees: dictionaries, tuples, lists and dataclasses, one inside the other, with values inside."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def is_branch(value: object) -> bool:
    """Say whether ``value`` holds others: a dictionary, a tuple, a list or a dataclass."""
    if isinstance(value, (Mapping, tuple, list)):
        return True
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return the same tree with ``function`` of each leaf; a mapping becomes a dictionary.

    >>> map_leaves(lambda x: 2 * x, {"a": 1, "b": (2, [3])})
    {'a': 2, 'b': (4, [6])}
    """
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, child) for key, child in tree.items()}
    if isinstance(tree, (tuple, list)):
        made = [map_leaves(function, child) for child in tree]
        if isinstance(tree, list):
            return made
        return type(tree)(*made) if hasattr(tree, "_fields") else tuple(made)
    if is_branch(tree):
        return dataclasses.replace(
            tree, **{name: map_leaves(function, child) for name, child in children(tree)}
        )
    return function(tree)


def children(tree: Any) -> list[tuple[Any, Any]]:
    """Return what a branch holds, by key, position or field."""
    if isinstance(tree, Mapping):
        return list(tree.items())
    if isinstance(tree, (tuple, list)):
        return list(enumerate(tree))
    return [(field.name, getattr(tree, field.name)) for field in dataclasses.fields(tree)]


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each leaf with its place, such as ``pairs.0``.

    >>> list(leaves({"a": 1, "b": (2, 3)}))
    [('a', 1), ('b.0', 2), ('b.1', 3)]
    """
    if not is_branch(tree):
        yield name, tree
        return
    for key, child in children(tree):
        yield from leaves(child, f"{name}.{key}" if name else str(key))
