"""``spectra claim``: what others have said of Hessians, tested at a checkpoint."""

import click

from cli.commands.claims.alain2019 import alain2019
from cli.commands.claims.ghorbani2019 import ghorbani2019
from cli.commands.claims.papyan2020 import papyan2020
from cli.options.flags import GroupWithExamples


@click.group(
    cls=GroupWithExamples,
    short_help="What others have said of Hessians, tested here.",
    examples="""
    # does negative curvature vanish late in training?
    spectra claim ghorbani2019 bundled:digits/ce-drw
    # are there as many outliers as classes?
    spectra claim papyan2020 bundled:digits/ce-drw
    """,
)
def claim() -> None:
    """Test at a checkpoint what others have said of Hessians.

    Each command says what they say and what is found here; docs/claims.md has our measurements.
    """


claim.add_command(alain2019)
claim.add_command(ghorbani2019)
claim.add_command(papyan2020)
