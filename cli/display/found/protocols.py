"""What each choice of images gives, side by side."""

from collections.abc import Iterator, Sequence

from cli.display.tables import Table
from cli.display.words import number
from spectra.results.protocol_rows import ProtocolRow
from spectra.results.said.short_words import labels_in_words, verdict_legend, verdict_word

# Ours: a Hessian's recurrence has some tenths or more; under draws that change it is a hundredth.
MOSTLY_NOISE = 0.1
_MEANINGS = {
    "images": "plain; K frozen augmentations of each; fresh draws at every product; /pyhessian: by "
    "PyHessian's own recurrence",
    "n": "images of the loss",
    "λmin": "lowest eigenvalue, by our Lanczos; of no matrix under fresh draws",
    "residual": "‖Hv − λv‖ of λmin",
    "ratio": "|λmin/λmax|",
    "nodes' ratio": "that of its lowest and highest node, which nothing checks: what is published",
    "|α|/β": "mean |α| over mean β of its matrix T: some tenths or more where all products are of "
    "one Hessian, near 0 where they differ, so that T is made of noise",
    "mass": "P × weight of its lowest node, about 1 or more for an eigenvalue",
    "asymmetry": "|mean| over mean size of its density: 1 where no eigenvalue is negative, 0 where "
    "noise makes both sides alike",
}


def protocols_table(name: str, rows: Sequence[ProtocolRow]) -> Table:
    """Return a row for each loss and choice of images, a loss's choices beside each other."""
    cells = [
        [
            row.label,
            row.protocol,
            str(row.n),
            number(row.loss),
            number(row.lambda_min),
            number(row.residual_min, 1),
            number(row.lambda_max),
            number(row.ratio),
            number(row.node_ratio),
            number(row.alpha_over_beta, 2),
            number(row.mass_min, 2),
            number(row.grad_norm),
            number(row.asymmetry, 2),
            verdict_word(row.verdict),
        ]
        for row in rows
    ]
    return Table(
        f"{name}: the same weights under each choice of images",
        ["class", "images", "n", "loss", "λmin", "residual", "λmax", "ratio",
         "nodes' ratio", "|α|/β", "mass", "‖g‖", "asymmetry", "verdict"],
        cells,
        optional=["residual", "asymmetry", "‖g‖", "loss", "n", "mass"],
        meanings=_MEANINGS,
        words=verdict_legend(row.verdict for row in rows),
        unusual=list(_unusual(rows)),
    ).without_empty("residual", "nodes' ratio", "|α|/β", "mass", "asymmetry")  # fmt: skip


def _unusual(rows: Sequence[ProtocolRow]) -> Iterator[str]:
    noisy = [r for r in rows if r.alpha_over_beta is not None and r.alpha_over_beta < MOSTLY_NOISE]
    for protocol in dict.fromkeys(row.protocol for row in noisy):
        these = [row for row in noisy if row.protocol == protocol]
        largest = max(row.alpha_over_beta or 0.0 for row in these)
        yield (
            f"{protocol}, {labels_in_words(row.label for row in these)}: |α|/β is "
            f"{largest:.2g}{' or less' if len(these) > 1 else ''}, so the recurrence's matrix is "
            "made of the noise between products, and its ratio says nothing of a Hessian."
        )
    frozen = [row.protocol for row in rows if row.protocol.startswith("frozen:")]
    if any(protocol in ("frozen:1", "frozen:4") for protocol in frozen):
        yield "Few frozen draws exaggerate both extremes: read frozen:1, 4 and 16 together."
