"""A template and the values that it names, made into text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jinja2


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
