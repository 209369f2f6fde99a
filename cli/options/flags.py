"""Flags that know their name and heading, commands that show them by heading, and bundles."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import click

from cli.display.ranks import among_ranks

F = TypeVar("F", bound=Callable[..., Any])

DATA = "Data"
WEIGHTS = "What the checkpoint's file does not say"
ANALYZED = "What is analyzed"
SOLVER = "Solver"
CERTIFICATES = "Certificates"
RECIPE = "Recipe"
COMPUTING = "Computing"
CLUSTER = "Cluster"
OUTPUT = "Output"


class HeadedOption(click.Option):
    """An option that is shown under a heading."""

    def __init__(self, *declarations: Any, heading: str = "", **settings: Any) -> None:
        super().__init__(*declarations, **settings)
        self.heading = heading


# What a list in the help is called, and its rows, found when help is asked for.
Listed = Callable[[], tuple[str, Sequence[tuple[str, str]]]]


class WithExamples(click.Command):
    """A command whose help ends in examples.

    Args:
        settings: of click.Command.
        examples: command lines that can be copied, before each a line # that says what it does.
        listed: names that an argument may be.
    """

    def __init__(
        self,
        *arguments: Any,
        examples: str = "",
        listed: Listed | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.examples = inspect.cleandoc(examples).splitlines()
        self.listed = listed

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what there is to choose from, and the examples."""
        if self.listed is not None:
            heading, rows = self.listed()
            with formatter.section(heading):
                formatter.write_dl(rows)
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in self.examples))
        super().format_epilog(ctx, formatter)


class GroupWithExamples(WithExamples, click.Group):
    """A group of commands whose help ends in examples."""


class HeadedCommand(WithExamples):
    """A command whose help groups the options by heading.

    Args:
        settings: of :class:`WithExamples`.
        over_ranks: whether several processes, started by ``torchrun``, can run it together.
    """

    def __init__(self, *arguments: Any, over_ranks: bool = False, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.over_ranks = over_ranks

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, as one of the processes of a job where there are several."""
        with among_ranks(ctx.command_path, allowed=self.over_ranks):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by heading, as the headings come; those without one are last."""
        rows: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                rows.setdefault(getattr(parameter, "heading", ""), []).append(record)
        for heading in sorted(rows, key=lambda heading: heading == ""):
            with formatter.section(heading or "Options"):
                formatter.write_dl(rows[heading])


class Flag:
    """An option before it belongs to a command: a decorator, with the name of its value.

    Args:
        declarations: ``--name``, and the value's name where that is another, as for click.option.
        heading: what it is shown under; empty: nothing.
        settings: of click.Option.
    """

    def __init__(self, *declarations: str, heading: str = "", **settings: Any) -> None:
        self._declarations, self._settings = declarations, {"heading": heading, **settings}
        self.name = str(HeadedOption(declarations, **self._settings).name)

    def __call__(self, function: F) -> F:
        """Add the option to a command."""
        return click.option(*self._declarations, cls=HeadedOption, **self._settings)(function)


def command(
    name: str | None = None, **settings: Any
) -> Callable[[Callable[..., Any]], HeadedCommand]:
    """Return a decorator that makes a command whose help has headings."""
    return click.command(name, cls=HeadedCommand, **settings)


def together(*flags: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds several flags, in their order."""

    def decorate(function: F) -> F:
        for flag in reversed(flags):
            function = flag(function)
        return function

    return decorate


def bundle(argument: str, make: Callable[..., Any], *flags: Flag) -> Callable[[F], F]:
    """Return a decorator that adds flags whose values the command gets as one argument.

    Args:
        argument: what the command calls it.
        make: called with the values by name, before the command.
        flags: in the order of the help.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def called(*args: Any, **values: Any) -> Any:
            own = {flag.name: values.pop(flag.name) for flag in flags}
            return function(*args, **{argument: make(**own)}, **values)

        return together(*flags)(cast(F, called))

    return decorate
