"""The command ``spectra`` itself: its own options, and its commands, imported when asked for."""

import contextlib
import difflib
import logging
import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click

from cli.display.failures import failure, heed_none, print_traceback
from cli.display.ranks import log_handler
from cli.options.flags import GroupWithExamples
from cli.options.going_on import goes_on
from cli.options.limits import limit
from spectra._version import __version__
from spectra.system.foreign_text import check_encodable

# In click's context: all that stood after the program's name.
_ARGUMENTS = "spectra.arguments"
DEBUG_VARIABLE = "SPECTRA_DEBUG"

# By what somebody wants, in the order of the help; each command is the function of that name, - as
# _, in the module.
HEADINGS = {
    "Look at a network": {
        "analyze": "cli.commands.analyze",
        "trajectory": "cli.commands.trajectory",
        "images": "cli.commands.directions.images",
        "sam": "cli.commands.directions.sam",
        "theorem": "cli.commands.directions.theorem",
    },
    "Train networks, and look at all of them": {
        "train": "cli.commands.train",
        "pipeline": "cli.commands.pipeline",
        "recipes": "cli.commands.recipes",
    },
    "Show what is stored": {
        "report": "cli.commands.drawing.report",
        "plot": "cli.commands.drawing.plot",
        "export": "cli.commands.sharing.export",
        "cite": "cli.commands.sharing.cite",
    },
    "Check what others have published": {
        "reproduce": "cli.commands.reproduce",
        "claim": "cli.commands.claims.claim",
        "recurrences": "cli.commands.protocols.recurrences",
        "check-spectrum": "cli.commands.check_spectrum",
    },
    "Files, data and this installation": {
        "checkpoints": "cli.commands.checkpoints",
        "data": "cli.commands.data",
        "doctor": "cli.commands.doctor",
        "bench": "cli.bench.command",
        "completion": "cli.commands.completion",
    },
}
COMMANDS = {name: place for commands in HEADINGS.values() for name, place in commands.items()}


class SpectraGroup(GroupWithExamples):
    """Commands that are imported when they are asked for, and failures that are one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(
            import_module(COMMANDS[cmd_name]), cmd_name.replace("-", "_")
        )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; of a name that is nearly one, say which."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not near:
                raise
            said = f"{error.message.rstrip('.')}; did you mean '{near[0]}'?"
            raise click.UsageError(said, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by what somebody wants."""
        for heading, names in HEADINGS.items():
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                assert command is not None
                rows.append((name, command.get_short_help_str(limit=100)))
            with formatter.section(heading):
                formatter.write_dl(rows, col_max=16)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the group's own options; look at the names in those of the command."""
        ctx.meta[_ARGUMENTS] = list(args)
        with _in_one_line(ctx):
            for text in args:
                check_encodable("an argument", text)
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _in_one_line(ctx):
            return super().invoke(ctx)


@contextlib.contextmanager
def _in_one_line(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise  # the end of --help; whoever read standard output has left, and click is silent
    except (Exception, KeyboardInterrupt) as error:
        heed_none()
        if ctx.params.get("debug") or os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
            print_traceback(error)
        command = ctx.invoked_subcommand
        kept = goes_on(ctx.meta.get(_ARGUMENTS, ()), command)
        line, code = failure(error, command, kept)
        click.echo(line, err=True)
        raise click.exceptions.Exit(code) from error


@click.group(
    cls=SpectraGroup,
    epilog="'spectra COMMAND --help' shows the options of a command, and examples of it.",
    examples="""
    # is any class of a bundled checkpoint at a saddle?
    spectra analyze bundled:digits/ce-drw
    # train on real digits, and see how the curvature of each class develops
    spectra train ce-drw-sam -o runs/mine
    spectra trajectory runs/mine
    """,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--debug",
    is_flag=True,
    help=f"Show where in the code an error arose; {DEBUG_VARIABLE}=1 does too.",
)
@click.version_option(__version__, prog_name="spectra")
@limit
def cli(debug: bool) -> None:
    """Look at how the loss of each class bends where a classifier's training has stopped.

    For classifiers trained on long-tailed data: is a rare class at a saddle of its loss? The
    Hessian, the matrix of second derivatives, says how a loss bends.
    """
    logging.basicConfig(level=logging.WARNING, handlers=[log_handler()], force=True)
