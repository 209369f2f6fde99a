"""The documents of the study, from templates in which every measured number is an expression."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import wording
from digits import digits_page
from filling import filled
from numbers_of_study import numbers_of
from stored import stored_results

from spectra import InputError

# Templates, each of the document of its name; docs/digits.md has one beside its results.
PAGES = ("findings.md", "tail-saddles.md", "tail-saddles-log.md")
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)
# What may hold numbers of its own: comments, code, addresses of links.
_APART = re.compile(
    r"\{#.*?#\}|^```.*?^```|`[^`]*`|\]\([^)]*\)|<!--.*?-->", re.DOTALL | re.MULTILINE
)
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
_MEASURED = re.compile(r"(?<![\w])[−-]?(?:\d[\d,]*)?\.\d+(?:e-?\d+)?|\b\d+e-?\d+\b|\b\d+ ?%")


def numbers_by_hand(template: str) -> list[str]:
    """Return the decimal numbers, powers of ten and percentages that are no expression.

    Args:
        template: its text. Code spans, links and comments are left out; a number inside of an
            expression counts.

    Example:
        >>> numbers_by_hand("class 8 has {{ found.ratio | sig(3) }}, class 9 .985 (`--rho 0.1`)")
        ['.985']
    """
    expressions = " ".join(a or b for a, b in _EXPRESSION.findall(template))
    text = _EXPRESSION.sub(" ", _APART.sub(" ", template))
    return _MEASURED.findall(text) + _MEASURED.findall(_STRING.sub(" ", expressions))


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """Return a template's text with its numbers.

    Raises:
        InputError: a number is written by hand, or a name is unknown.
    """
    by_hand = numbers_by_hand(template)
    if by_hand:
        raise InputError(f"expected expressions over stored results, got {', '.join(by_hand)}")
    filters = (
        wording.sig, wording.fixed, wording.percent, wording.listed, wording.mean,
        wording.deviation, wording.masses,
    )  # fmt: skip
    try:
        return filled(template, values, {f.__name__: f for f in filters})
    except jinja2.TemplateError as error:
        raise InputError(f"a template of the study: {error}") from error


def documents(root: Path) -> dict[Path, str]:
    """Return every document's text as its template and the stored results give it.

    Args:
        root: of the project.
    """
    study = root / "docs" / "study"
    values = {
        **numbers_of(stored_results(study), study),
        **{
            name: tomllib.loads((study / f"{name}.toml").read_text("utf-8"))
            for name in ("published", "settings", "unstored")
        },
    }
    digits = digits_page.texts(study / "digits")
    values["digits"] = digits[digits_page.PART]
    made = {root / "docs" / name: rendered(_template(study, name), values) for name in PAGES}
    return made | {root / "docs" / "digits.md": digits[digits_page.PAGE]}


def _template(study: Path, name: str) -> str:
    return (study / "templates" / name).read_text("utf-8")
