"""``spectra --limit NAME=VALUE COMMAND``: reading what is larger than files most often are."""

from collections.abc import Sequence

import click

from cli.display.lines import say
from cli.options.values import parse_memory
from spectra.errors import InputError
from spectra.system.files.limits import NAMES, counts_bytes, description_of, raised_limits

_LIST = "help"
_WIDTH = max(map(len, NAMES))
# What '--limit help' prints.
ALL_LIMITS = (
    "The limits of --limit, which stands before the command:",
    *(f"  {name:{_WIDTH}}  {description_of(name)}" for name in NAMES),
    "",
    "for example: spectra --limit checkpoint_file=32GiB analyze large.pth",
)


def _in_force(ctx: click.Context, param: click.Parameter, given: Sequence[str]) -> None:
    """Raise the limits for the rest of the command; ``help`` lists them, and ends it."""
    if _LIST in given:
        say(*ALL_LIMITS)
        ctx.exit()
    try:
        ctx.with_resource(raised_limits(**dict(map(_read, given))))
    except InputError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _read(text: str) -> tuple[str, int]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or name not in NAMES:
        raise InputError(f"expected NAME=VALUE, NAME one of {', '.join(NAMES)}; got {text!r}")
    if counts_bytes(name):
        return name, parse_memory(value)
    if not value.isdecimal() or len(value) > 18:
        raise InputError(f"{name} must be a whole number, got {value!r}")
    return name, int(value)


limit = click.option(
    "--limit",
    metavar="NAME=VALUE",
    multiple=True,
    expose_value=False,
    is_eager=True,
    callback=_in_force,
    help="Read files that have or state larger sizes; may be given several times. "
    f"'--limit {_LIST}' lists the names.",
)
