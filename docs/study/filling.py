"""Templates and where their text goes: whole documents, and parts of one between two marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jinja2

from spectra import InputError

_BEGIN, _END = "<!-- rendered from {} -->\n", "<!-- end of {} -->\n"


def filled(
    template: str,
    values: Mapping[str, Any],
    filters: Mapping[str, Callable[..., Any]] | None = None,
) -> str:
    """Return a template's text with its numbers.

    Args:
        template: its text.
        values: what it may name.
        filters: what it may put them through, beside Jinja's own.

    Raises:
        jinja2.TemplateError: a name is unknown, or the template is none.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    environment.filters.update(filters or {})
    return environment.from_string(template).render(values)


def put_between(whole: str, source: str, part: str) -> str:
    """Return a document with the text between the two marks of a template made anew.

    Args:
        whole: the document.
        source: the template's path, as the marks name it.
        part: what goes between them.

    Raises:
        InputError: the marks are not there, once each.
    """
    begin, end = (mark.format(source) for mark in (_BEGIN, _END))
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise InputError(f"expected one line {begin.strip()} and one {end.strip()}")
    before, _, rest = whole.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{part}{end}{after}"
