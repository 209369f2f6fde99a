"""``spectra theorem``: what SAM does to the gradient along a class's negative curvature."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from checkpoints.analysis.request import RHOS, TheoremRequest
from cli.commands.directions.opened import open_for
from cli.display.lines import print_json, print_paths, say, tell, there
from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from cli.display.words import number
from cli.options import shared
from cli.options.analysis import AskedAnalysis, direction_flags
from cli.options.completion import checkpoint_names
from cli.options.flags import ANALYZED, Flag, command
from cli.options.values import parse_radii

if TYPE_CHECKING:
    from checkpoints import LoadOptions
    from spectra.findings.sharpness import Amplification
    from spectra.results.directions.theorem_result import DirectionReport


@command(
    short_help="SAM's gradient along negative curvature, measured and predicted.",
    examples="""
    # classes 0 and 8, at the paper's radii
    spectra theorem bundled:digits/ce-drw
    # the tail, at one radius, over 50 mini-batches
    spectra theorem runs/mine --class tail --rho 0.1 --num-batches 50
    """,
)
@click.argument("checkpoint", shell_complete=checkpoint_names)
@shared.source
@shared.loading
@direction_flags
@Flag(
    "--rho",
    heading=ANALYZED,
    default=",".join(map(str, RHOS)),
    show_default=True,
    help="Radii, joined by commas.",
)
@shared.batches
@shared.output
@shared.figure_width
@shared.as_json
def theorem(
    checkpoint: str,
    source: str | None,
    loading: "LoadOptions",
    asked: AskedAnalysis,
    rho: str,
    batches: dict[str, int],
    output: Path | None,
    width: str,
    as_json: bool,
) -> None:
    """Measure at CHECKPOINT how SAM changes gradients along the v_min of each class.

    For the class's own gradient the prediction is 1 + ρλ/‖g‖; for mini-batches it is taken batch by
    batch; the theorem's (1+ρλmin)², for an ascent step that is not normalised, stands beside them.
    """
    from checkpoints.analysis.directions.theorem import measure_theorem
    from figures import save_pages, theorem_pages
    from spectra.findings.sam.sam_effect import next_step_over_radii
    from spectra.results.directions.theorem_result import save_theorem, theorem_to_plain

    request = TheoremRequest(
        asked.request(classes="0,8", num_probes=0), parse_radii(rho), **batches
    )
    loaded, data, folder = open_for(
        "theorem", checkpoint, loading, source, request.analysis.normalisation, output
    )
    with reporting(f"measuring {loaded.name}") as report:
        result = measure_theorem(loaded, data, request, on_progress=report.update)
    save_theorem(folder / "theorem.json", result)
    written = [folder / "theorem.json"]
    pages = theorem_pages(result, title=loaded.name, width=width)
    written += save_pages(pages, folder, "theorem")
    if as_json:
        print_json({**theorem_to_plain(result), "files": there(written)})
        return
    for one in result.classes:
        print_table(direction_table(one))
    say("", "what this says:")
    for one in result.classes:
        tell(f"{one.sentence} {next_step_over_radii(one.effects)}".strip())
    say("written:")
    print_paths(written)


def direction_table(one: "DirectionReport") -> Table:
    """Return a row for each radius, with what else is known of the direction."""
    rows = [
        [number(own.rho), _unless(own.undetermined, own.measured), number(own.predicted)]
        for own in one.class_factors
    ]
    columns = ["ρ", "own loss", "predicted"]
    if one.batches:  # none where a batch is all of the images
        columns += ["batches", "95 %", "predicted", "theorem"]
        rows = [row + _of_batches(batch) for row, batch in zip(rows, one.batches, strict=True)]
    return Table(
        f"class {one.label}, {one.n} images: what SAM makes of the gradient along v_min",
        columns,
        rows,
        meanings={
            "own loss": "⟨g_SAM, v⟩/⟨g, v⟩ of the class's own gradient g",
            "predicted": "1+ρλ/‖g‖; for batches taken batch by batch",
            "batches": "E⟨g_SAM, v⟩²/E⟨g, v⟩² over mini-batches, with its 95 % interval",
            "theorem": "(1+ρλmin)², of an ascent step that is not normalised",
        },
        words=[
            *["open: the slope without SAM cannot be told from 0"]
            * any("open" in row for row in rows),
            *_beside(one),
        ],
    )


def _beside(one: "DirectionReport") -> list[str]:
    """Return what else is known of the direction."""
    said = [
        f"λmin {number(one.lambda_min)} is vᵀGv {number(one.gauss_newton)}, the Gauss-Newton part, "
        f"and {number(one.rest)}, the bending of the network; ‖g‖ {number(one.grad_norm)}, ρ* "
        f"{number(one.critical_rho)}, E⟨g_B, v⟩² {number(one.correlated_noise)}."
    ]
    others = [label for label in one.cross if label != one.label]
    if others:
        curvatures = ", ".join(
            f"class {label} has curvature {number(one.cross[label])}, overlap "
            f"{number(one.overlaps[label])}"
            for label in others
        )
        said.append(f"Along the same v {curvatures}.")
    return said


def _unless(undetermined: bool, value: float | None) -> str:
    return "open" if undetermined else number(value)


def _of_batches(batch: "Amplification") -> list[str]:
    return [
        _unless(batch.undetermined, batch.measured.estimate),
        f"{number(batch.measured.lower)} to {number(batch.measured.upper)}",
        number(batch.predicted.estimate),
        number(batch.theorem),
    ]
