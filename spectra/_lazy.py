"""Names of a package that are imported when they are first used, as PEP 562 has it."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, where: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package that imports nothing before it is asked.

    Args:
        package: ``__name__`` of the package.
        where: the names that each module gives; a name may not be that of a submodule too, since
            importing the submodule would put it in the name's place.
    """
    module_of = {name: module for module, names in where.items() for name in names}

    def find(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(module_of[name]), name)
        setattr(sys.modules[package], name, found)  # the next use does not come here
        return found

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return find, names
