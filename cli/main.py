"""The command ``spectra``: per-class Hessian spectra of long-tailed classifiers."""

import logging
import sys
from typing import Any

import click

from cli.commands import COMMANDS
from spectra import SpectraError, __version__


class UserMistake(click.ClickException):
    """What a user can mend: one line, exit code 2."""

    exit_code = 2


class SpectraGroup(click.Group):
    """A group of commands that turns deliberate errors into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SpectraError as error:
            raise UserMistake(" ".join(str(error).split())) from error
        except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
            raise UserMistake(f"{error.strerror}: {error.filename}") from error


@click.group(
    cls=SpectraGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="spectra")
def cli() -> None:
    """Hessian spectra of the per-class losses of classifiers trained on long-tailed data.

    First steps:

    \b
      spectra analyze bundled:digits/ce-drw          look at a bundled checkpoint
      spectra train ce-drw-sam -o runs/mine          train on real digits
      spectra trajectory runs/mine                   |λmin/λmax| over its training
      spectra pipeline study.toml                    many recipes and seeds, resumable
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)


for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    cli.main(prog_name="spectra")


if __name__ == "__main__":
    main()
