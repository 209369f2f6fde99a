"""A griffe extension: the roles of our docstrings become links where the site has their goal."""

import re
from importlib import import_module
from textwrap import indent
from typing import Any

import griffe
from api_pages import PACKAGES

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`(~?)([\w.\s]+)`")


BARE_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


def public_places() -> dict[str, str]:
    """Return the public names, by their own name and by that of the file where they are defined."""
    found = {}
    for package in PACKAGES:
        module = import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            place = f"{package}.{name}"
            found[name] = found[place] = place
            if hasattr(thing, "__qualname__"):
                found[f"{thing.__module__}.{thing.__qualname__}"] = place
    return found


def _headed(example: re.Match[str]) -> str:
    return "Examples:\n" + indent(example[0], "    ")


class Roles(griffe.Extension):
    """``:func:`name``` becomes a link to a public name, or else code."""

    def __init__(self) -> None:
        self._places = public_places()

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of anything that has one."""
        if obj.docstring is not None:
            text = ROLE.sub(self._link, obj.docstring.value)
            # Of the two headings that Google's style allows, griffe knows one.
            text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
            obj.docstring.value = BARE_EXAMPLE.sub(_headed, text)

    def _link(self, role: re.Match[str]) -> str:
        name = re.sub(r"\s", "", role[2]).lstrip(".")
        words = f"`{name.rpartition('.')[2] if role[1] else name}`"
        if name in self._places:
            return f"[{words}][{self._places[name]}]"
        owner, _, method = name.rpartition(".")
        if owner in self._places:
            return f"[{words}][{self._places[owner]}.{method}]"
        return words
