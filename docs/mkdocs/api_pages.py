"""Pages of the public Python names: one for each heading in ``__all__``, by mkdocstrings."""

import ast
import re
from importlib import import_module
from pathlib import Path

PACKAGES = ("spectra", "checkpoints", "figures")
FOLDER = "reference/api"


def headed_names(package: str) -> dict[str, list[str]]:
    """Return the names in a package's ``__all__``, by the comments that stand over them."""
    text = Path(str(import_module(package).__file__)).read_text("utf-8")
    block = re.search(r"__all__ = \[.*?\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    found: dict[str, list[str]] = {}
    heading = ""
    for line in map(str.strip, block[1].splitlines()):
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif not line.startswith('"__'):
            found.setdefault(heading, []).append(ast.literal_eval(line.rstrip(",")))
    return found


def first_line(thing: object) -> str:
    """Return the first sentence of a docstring; nothing for plain data."""
    text = "" if isinstance(thing, (str, tuple, list, dict, frozenset)) else thing.__doc__ or ""
    return re.sub(
        r":\w+:`~?([^`]+)`", r"`\1`", text.strip().split("\n\n")[0].replace("\n    ", " ")
    )


def pages() -> dict[str, str]:
    """Return the text of every page by its place on the site, the index first."""
    index = ["# Python", "", "Every public name, in the order in which somebody meets them.", ""]
    found = {f"{FOLDER}/index.md": ""}
    for package in PACKAGES:
        module = import_module(package)
        index += [f"## `{package}`", "", first_line(module), ""]
        for heading, names in headed_names(package).items():
            slug = re.sub(r"[^\w]+", "-", heading.lower()).strip("-")
            place = f"{FOLDER}/{package}/{slug}.md"
            index += [
                f"### [{heading}]({package}/{slug}.md)",
                "",
                "| name | what it is |",
                "|---|---|",
            ]
            for name in names:
                said = first_line(getattr(module, name)).replace("|", "\\|")
                index.append(f"| [`{name}`][{package}.{name}] | {said} |")
            index.append("")
            inner = "\n\n".join(f"::: {package}.{name}" for name in names)
            found[place] = f"# {heading}\n\nOf `{package}`.\n\n{inner}\n"
    found[f"{FOLDER}/index.md"] = "\n".join(index)
    return found


def navigation() -> list[object]:
    """Return the pages as the navigation shows them."""
    parts: list[object] = [f"{FOLDER}/index.md"]
    for package in PACKAGES:
        places = [place for place in pages() if place.startswith(f"{FOLDER}/{package}/")]
        parts.append({package: places})
    return parts
