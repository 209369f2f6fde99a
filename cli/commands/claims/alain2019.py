"""``spectra claim alain2019``: is the best step along an eigenvector what its λ says?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from checkpoints.choices import CLAIM_PAIRS
from cli.commands.directions.opened import open_for
from cli.display.lines import print_json, print_paths, say, tell, there
from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from cli.display.words import number, percent
from cli.options import shared
from cli.options.analysis import AskedAnalysis, direction_flags
from cli.options.completion import checkpoint_names
from cli.options.flags import ANALYZED, Flag, command

if TYPE_CHECKING:
    from checkpoints import LoadOptions
    from spectra.results.claims.best_steps_result import BestStepsResult, StepsOfLoss


@command(
    short_help="Best steps along eigenvectors against 1/|λ|.",
    examples="""
    # the whole loss, head and tail
    spectra claim alain2019 bundled:digits/ce-drw
    # one class, five eigenvectors from either end
    spectra claim alain2019 runs/mine --class 8 --pairs 5
    """,
)
@click.argument("checkpoint", shell_complete=checkpoint_names)
@shared.source
@shared.loading
@direction_flags
@Flag(
    "--pairs",
    heading=ANALYZED,
    type=click.IntRange(min=1),
    default=CLAIM_PAIRS,
    show_default=True,
    help="Eigenpairs from either end.",
)
@shared.output
@shared.figure_width
@shared.as_json
def alain2019(
    checkpoint: str,
    source: str | None,
    loading: "LoadOptions",
    asked: AskedAnalysis,
    pairs: int,
    output: Path | None,
    width: str,
    as_json: bool,
) -> None:
    """Search the true loss at CHECKPOINT along the eigenvectors at both ends of the Hessian.

    Alain, Le Roux & Manzagol 2019: along positive curvature the best learning rate is near 1/λ,
    along negative curvature it has little to do with 1/|λ|, and the largest decreases are there.
    """
    from checkpoints.claims.best_steps import measure_best_steps
    from figures import best_steps_pages, save_pages
    from spectra.results.claims.best_steps_result import best_steps_to_plain, save_best_steps

    request = asked.request(classes="overall,head,tail", num_probes=0, bending=False)
    loaded, data, folder = open_for(
        "alain2019", checkpoint, loading, source, request.normalisation, output
    )
    with reporting(f"measuring {loaded.name}") as report:
        result = measure_best_steps(loaded, data, request, pairs=pairs, on_progress=report.update)
    written = [folder / "alain2019.json"]
    save_best_steps(written[0], result)
    pages = best_steps_pages(result, title=loaded.name, width=width)
    written += save_pages(pages, folder, "alain2019")
    if as_json:
        print_json({**best_steps_to_plain(result), "files": there(written)})
        return
    print_table(steps_table(loaded.name, result, pairs))
    tell("", result.sentence)
    say("written:")
    print_paths(written)


def _row(loss: "StepsOfLoss", sign: int) -> list[str]:
    steps, correlation = loss.of_sign(sign), loss.correlation(sign)
    asked = sum(step.value * sign > 0 for step in loss.steps)
    ratios = [abs(step.over_model) for step in steps if step.over_model is not None]
    return [
        loss.label,
        number(loss.loss),
        "down" if sign < 0 else "up",
        f"{len(steps)} of {asked}",
        _between([step.value for step in steps]),
        _between(ratios),
        "-" if correlation is None else f"{correlation.estimate:.2f}",
        "-" if correlation is None else f"{correlation.lower:.2f}..{correlation.upper:.2f}",
        percent(loss.best_decrease(sign)).removesuffix(" %"),
    ]


def _between(values: list[float]) -> str:
    return f"{number(min(values))}..{number(max(values))}" if values else "-"


def steps_table(name: str, result: "BestStepsResult", pairs: int) -> Table:
    """Return two rows for each loss: along negative and along positive curvature."""
    return Table(
        f"{name}: best steps along {pairs} eigenvectors from either end",
        ["class", "loss", "bends", "found", "λ", "best step", "rank", "95 %", "lowered %"],
        [_row(loss, sign) for loss in result.losses for sign in (-1, 1)],
        optional=["loss", "found"],
        meanings={
            "bends": "down along eigenvectors of negative curvature, up along those of positive",
            "found": "best steps that could be measured",
            "best step": "times |λ| over the slope: 1 on a parabola that opens upwards",
            "rank": "correlation of the best learning rate with 1/|λ|",
            "lowered %": "of the loss, the most that one step along one eigenvector takes off",
        },
    )
