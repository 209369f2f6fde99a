"""The command ``spectra`` itself: its own options, and its commands, imported when asked for."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click

from cli.display.failures import failure, heed_none, print_traceback
from cli.display.lines import OneLine
from cli.options.limits import ALL_LIMITS, limit
from spectra._version import __version__
from spectra.system.foreign_text import check_encodable

DEBUG_VARIABLE = "SPECTRA_DEBUG"

# In the order of the help; each is the function of that name, - as _, in the module.
COMMANDS = {
    "train": "cli.commands.train",
    "analyze": "cli.commands.analyze",
    "trajectory": "cli.commands.trajectory",
    "images": "cli.commands.directions.images",
    "sam": "cli.commands.directions.sam",
    "theorem": "cli.commands.directions.theorem",
    "claim": "cli.commands.claims.claim",
    "recurrences": "cli.commands.protocols.recurrences",
    "reproduce": "cli.commands.reproduce",
    "plot": "cli.commands.drawing.plot",
    "report": "cli.commands.drawing.report",
    "check-spectrum": "cli.commands.check_spectrum",
    "pipeline": "cli.commands.pipeline",
    "checkpoints": "cli.commands.checkpoints",
    "data": "cli.commands.data",
    "recipes": "cli.commands.recipes",
    "bench": "cli.bench.command",
    "doctor": "cli.commands.doctor",
}


class SpectraGroup(click.Group):
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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the group's own options; look at the names in those of the command."""
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
        line, code = failure(error, ctx.invoked_subcommand)
        click.echo(line, err=True)
        raise click.exceptions.Exit(code) from error


@click.group(
    cls=SpectraGroup,
    epilog=ALL_LIMITS,
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
    """Hessian spectra of the per-class losses of classifiers trained on long-tailed data.

    First steps:

    \b
      spectra analyze bundled:digits/ce-drw          look at a bundled checkpoint
      spectra train ce-drw-sam -o runs/mine          train on real digits
      spectra trajectory runs/mine                   |λmin/λmax| over its training
      spectra pipeline study.toml                    many recipes and seeds, resumable
      spectra check-spectrum result.json             can the ends of a density be eigenvalues?
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
