"""``spectra sam``: does SAM strengthen or weaken a class's step along its negative curvature?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from checkpoints.analysis.request import TheoremRequest
from cli.commands.directions.opened import open_for
from cli.display.lines import print_json, print_paths, say, tell, there
from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from cli.display.words import number, percent
from cli.options import shared
from cli.options.analysis import AskedAnalysis, direction_flags
from cli.options.completion import checkpoint_names
from cli.options.flags import ANALYZED, Flag, command
from cli.options.values import parse_radii
from spectra.findings.verdict import RADIUS

if TYPE_CHECKING:
    from checkpoints import LoadOptions
    from spectra.findings.sam.sam_effect import SamEffect


@command(
    short_help="Does SAM help a class along its negative curvature?",
    examples="""
    # every class, at the paper's smallest radius
    spectra sam bundled:digits/ce-drw
    # one class, at three radii
    spectra sam runs/mine --class 8 --rho 0.05,0.1,0.5
    """,
)
@click.argument("checkpoint", shell_complete=checkpoint_names)
@shared.source
@shared.loading
@Flag(
    "--rho",
    heading=ANALYZED,
    default=str(RADIUS),
    show_default=True,
    help="SAM's radius, or several joined by commas.",
)
@direction_flags
@shared.batches
@shared.output
@shared.as_json
def sam(
    checkpoint: str,
    source: str | None,
    loading: "LoadOptions",
    rho: str,
    asked: AskedAnalysis,
    batches: dict[str, int],
    output: Path | None,
    as_json: bool,
) -> None:
    """Say whether SAM at CHECKPOINT strengthens or weakens each class's step along its v_min.

    The slope of the class's loss along v_min is compared with that after SAM's ascent step, over
    the class's images and over mini-batches of all images. 'spectra theorem' shows more.
    """
    from checkpoints.analysis.directions.sam import measure_sam
    from spectra.findings.sam.sam_effect import next_step_over_radii, sentence_over_radii
    from spectra.results.directions.sam_result import sam_to_plain, save_sam

    request = TheoremRequest(asked.request(num_probes=0), parse_radii(rho), **batches)
    loaded, data, folder = open_for(
        "sam", checkpoint, loading, source, request.analysis.normalisation, output
    )
    with reporting(f"measuring {loaded.name}") as report:
        result = measure_sam(loaded, data, request, on_progress=report.update)
    written = [folder / "sam.json"]
    save_sam(written[0], result)
    if as_json:
        print_json({**sam_to_plain(result), "sentences": list(result.sentences),
                    "files": there(written)})  # fmt: skip
        return
    print_table(effects_table(loaded.name, result.effects))
    say("", "what this says:")
    for effects in result.by_class.values():
        tell(f"{sentence_over_radii(effects)} {next_step_over_radii(effects)}")
    say("written:")
    print_paths(written)


def effects_table(name: str, effects: "Sequence[SamEffect]") -> Table:
    """Return a row for each loss and radius."""
    return Table(
        f"{name}: does SAM change the step along each class's v_min?",
        ["class", "ρ", "images", "slope %", "with SAM %", "growth", "SAM", "confidence %",
         "noise %"],
        [_row(effect) for effect in effects],
        optional=["noise %", "images"],
        meanings={
            "slope %": "of the class's loss along v_min, in % of ‖g‖, ± its standard error over "
            "the images of the class",
            "with SAM %": "the same after SAM's ascent step",
            "growth": "‖g‖ after the ascent step over ‖g‖",
            "SAM": "strengthens, weakens or turns that step; open: the images do not say which",
            "confidence %": "of that",
            "noise %": "of the mean square of SAM's slopes over mini-batches, what is not their "
            "mean",
        },
    )  # fmt: skip


def _row(effect: "SamEffect") -> list[str]:
    own = effect.own
    return [
        effect.label,
        number(effect.rho),
        str(own.draws),
        effect.slope(own.plain, own.plain_error).removesuffix(" %"),
        effect.slope(own.sam, own.sam_error).removesuffix(" %"),
        number(effect.growth),
        effect.name,
        percent(own.confidence).removesuffix(" %"),
        percent(effect.noise).removesuffix(" %"),
    ]
