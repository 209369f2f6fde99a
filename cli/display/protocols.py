"""What each choice of images gives, side by side."""

from collections.abc import Sequence

from cli.display.lines import say
from cli.display.tables import Table, print_table
from cli.display.words import number, with_residual
from spectra.results.protocol_rows import ProtocolRow


def print_protocols(name: str, rows: Sequence[ProtocolRow]) -> None:
    """Print what each choice of images gives, and what of it belongs to a matrix."""
    table = [
        [
            row.label,
            row.protocol,
            str(row.n),
            number(row.loss),
            with_residual(row.lambda_min, row.residual_min),
            number(row.lambda_max),
            number(row.ratio),
            number(row.node_ratio),
            number(row.mass_min),
            number(row.grad_norm),
            number(row.alpha_over_beta),
            number(row.asymmetry),
            row.verdict,
        ]
        for row in rows
    ]
    print_table(Table(
        f"{name}: the same weights under each choice of images",
        ["class", "images", "n", "loss", "λmin", "λmax", "|λmin/λmax|", "of its own nodes", "mass",
         "‖g‖", "|α|/β", "asymmetry", "verdict"],
        table,
        optional=["asymmetry", "|α|/β", "loss", "‖g‖", "n"],
    ))  # fmt: skip
    say(
        "fresh: a new draw at every product, so λmin and λmax are Ritz values of no matrix; "
        "few frozen draws exaggerate both extremes: read frozen:1, 4, 16 together. "
        "plain/pyhessian: λmin and λmax by our Lanczos over PyHessian's products, with a residual; "
        "of its own nodes: what its own recurrence says, which nothing checks; mass: P × weight "
        "of its lowest node, about 1 or more for an eigenvalue"
    )
