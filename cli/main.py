"""The command ``spectra``: per-class Hessian spectra of long-tailed classifiers."""

import logging
import sys
from importlib import import_module
from typing import Any

import click

from cli.options.limits import ALL_LIMITS, limit
from spectra import SpectraError, __version__


class UserMistake(click.ClickException):
    """What a user can mend: one line, exit code 2."""

    exit_code = 2


class Interrupted(click.ClickException):
    """Ctrl-C: what is kept, and the exit code that shells give SIGINT."""

    exit_code = 130

    def show(self, file: Any = None) -> None:
        """Print it; it is no error."""
        click.echo(f"Interrupted{self.message}.", err=True)


_AGAIN = "; what was finished is kept, and the same command goes on from there"
INTERRUPTED = {
    "train": "; finished epochs are kept, and the same command with --resume goes on from there",
    **dict.fromkeys(("analyze", "trajectory", "reproduce", "pipeline"), _AGAIN),
}
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
    "plot": "cli.commands.plot",
    "check-spectrum": "cli.commands.check_spectrum",
    "pipeline": "cli.commands.pipeline",
    "checkpoints": "cli.commands.checkpoints",
    "data": "cli.commands.data",
    "recipes": "cli.commands.recipes",
    "bench": "cli.bench.command",
    "doctor": "cli.commands.doctor",
}


class SpectraGroup(click.Group):
    """Commands that are imported when they are asked for, and errors that are one line.

    A deliberate error has exit code 2.
    """

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

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SpectraError as error:
            raise UserMistake(" ".join(str(error).split())) from error
        except (click.exceptions.Exit, BrokenPipeError):
            raise  # the end of --help; whoever read standard output has left, and click is silent
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            raise UserMistake(f"{error.strerror or error}{where}") from error
        except KeyboardInterrupt as error:
            raise Interrupted(INTERRUPTED.get(str(ctx.invoked_subcommand), "")) from error
        except (RuntimeError, MemoryError) as error:
            from spectra.system.allocator import out_of_memory

            if not out_of_memory(error):
                raise
            said = " ".join(str(error).partition("\n")[0].split()).rstrip(".")
            raise UserMistake(
                f"out of memory{f' ({said})' if said else ''}; free some of it, give an analysis a "
                "lower --memory or a training a lower --set batch_size=N, or take another --device"
            ) from error


@click.group(
    cls=SpectraGroup,
    epilog=ALL_LIMITS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="spectra")
@limit
def cli() -> None:
    """Hessian spectra of the per-class losses of classifiers trained on long-tailed data.

    First steps:

    \b
      spectra analyze bundled:digits/ce-drw          look at a bundled checkpoint
      spectra train ce-drw-sam -o runs/mine          train on real digits
      spectra trajectory runs/mine                   |λmin/λmax| over its training
      spectra pipeline study.toml                    many recipes and seeds, resumable
      spectra check-spectrum result.json             can the ends of a density be eigenvalues?
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)


def main() -> None:
    """Run the command line."""
    cli.main(prog_name="spectra")


if __name__ == "__main__":
    main()
