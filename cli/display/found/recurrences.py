"""What the published recurrence makes of a loss, and what each part of it adds."""

from collections.abc import Sequence

from cli.display.lines import tell
from cli.display.tables import Table, print_table
from cli.display.words import number, percent
from spectra.engines.published_recurrence import AFTER, ALPHAS_ZERO, BEFORE, WITHOUT_RETURNED
from spectra.results.protocols.recurrences_result import (
    STEPS,
    RecurrenceRun,
    RecurrencesResult,
)

_SHOWN_STEPS = tuple(s for s in STEPS if s != 80)


_MEANINGS = {
    "arithmetic": "how the recurrence was computed, see --arithmetic",
    "ratio": "|λmin/λmax| of its T after all steps",
    "came back": "the part of β² that is the βv_before just subtracted, median over the steps",
    "without it": "the ratio if β is taken without that part",
    "β after": "the ratio if β is taken after orthogonalising",
    "α=0": "the ratio if every α is set to 0: 1 whatever the matrix",
}


def print_recurrences(result: RecurrencesResult) -> None:
    """Print the ratio of each run by steps, and of each variant of T after all of them."""
    print_table(recurrences_table(result))
    for one in result.exact:
        tell(
            f"class {one.label}: the matrix itself, by SciPy in float64, has λmin "
            f"{one.lambda_min:.7g}, λmax {one.lambda_max:.7g} and the ratio {one.ratio:.4g}"
            if one.ratio is not None
            else f"class {one.label}: the matrix itself is 0"
        )


def recurrences_table(result: RecurrencesResult) -> Table:
    """Return a row for each way to compute the recurrence, all with the same draws and start."""
    protocol = result.protocol
    taken = max(len(run.alphas) for run in result.runs)
    shown = [s for s in _SHOWN_STEPS if s < taken]
    before = [f"ratio at {s}" for s in shown]
    return Table(
        f"{result.checkpoint.name}: |λmin/λmax| by the published recurrence, {taken} steps, images "
        f"{protocol.images}, {protocol.products} products, {protocol.dtype}",
        ["class", "n", "loss", "seed", "arithmetic", *before, "ratio", "λmin", "λmax",
         "came back", "without it", "β after", "α=0"],
        [_row(run, shown) for run in result.runs],
        optional=["loss", *before, "n", "seed"],
        meanings={**_MEANINGS, **{name: "of that many steps" for name in before[:1]}},
    )  # fmt: skip


def _row(run: RecurrenceRun, shown: Sequence[int]) -> list[str]:
    last = run.ends(BEFORE)
    return [
        run.label,
        str(run.n),
        number(run.loss),
        str(run.seed),
        run.arithmetic,
        *(
            number(run.ends(BEFORE, steps).ratio if steps <= len(run.alphas) else None)
            for steps in shown
        ),
        number(last.ratio),
        number(last.lambda_min),
        number(last.lambda_max),
        percent(run.returned_share),
        number(run.ends(WITHOUT_RETURNED).ratio),
        number(run.ends(AFTER).ratio),
        number(run.ends(ALPHAS_ZERO).ratio),
    ]
