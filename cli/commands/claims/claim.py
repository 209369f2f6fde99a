"""``spectra claim``: what others have said of Hessians, tested at a checkpoint."""

import click

from cli.commands.claims.alain2019 import alain2019
from cli.commands.claims.ghorbani2019 import ghorbani2019
from cli.commands.claims.papyan2020 import papyan2020


@click.group(short_help="What others have said of Hessians, tested here.")
def claim() -> None:
    """Test at a checkpoint what others have said of Hessians.

    Each command says what they say and what is found here; docs/claims.md has our measurements.

    \b
    Examples:
      spectra claim alain2019 bundled:digits/ce-drw
      spectra claim ghorbani2019 runs/mine/analysis.json
      spectra claim papyan2020 bundled:digits/ce-drw
    """


claim.add_command(alain2019)
claim.add_command(ghorbani2019)
claim.add_command(papyan2020)
