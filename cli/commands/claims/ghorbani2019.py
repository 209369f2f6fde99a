"""``spectra claim ghorbani2019``: how much of the spectrum is negative late in training?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.display.lines import note, print_json, print_paths, say, tell, there
from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from cli.display.words import number
from cli.options import shared
from cli.options.analysis import AskedAnalysis, direction_flags
from cli.options.completion import checkpoint_names
from cli.options.flags import command
from cli.options.values import hold
from spectra.errors import InputError
from spectra.system.files.names import file_name

if TYPE_CHECKING:
    from checkpoints import LoadOptions
    from spectra import Analysis
    from spectra.findings.claims.negative_share import NegativeShare
    from spectra.results.claims.negative_share_result import NegativeShareResult, ShareOfLoss

PROBES = 4  # ours: two of them leave an interval of Student's t with one degree of freedom


@command(
    short_help="Negative part of Σ|λ| over training.",
    examples="""
    # over the training of a bundled run
    spectra claim ghorbani2019 bundled:digits/ce-drw
    # of a stored result, without any product
    spectra claim ghorbani2019 runs/mine/analysis.json
    """,
)
@click.argument("run", nargs=-1, required=True, shell_complete=checkpoint_names)
@shared.source
@shared.loading
@direction_flags
@shared.output
@shared.figure_width
@shared.as_json
def ghorbani2019(
    run: tuple[str, ...],
    source: str | None,
    loading: "LoadOptions",
    asked: AskedAnalysis,
    output: Path | None,
    width: str,
    as_json: bool,
) -> None:
    """Say which part of Σ|λ| is negative at the checkpoints of RUN, or in stored results.

    RUN is a folder of checkpoints, one checkpoint or bundled:digits/RECIPE; or files of 'spectra
    analyze' (.json) that hold densities, which cost no product. Ghorbani, Krishnan & Xiao 2019:
    negative eigenvalues are negligible late in training.
    """
    from checkpoints.data.views import FRESH
    from figures import plot_negative_share, save_figure
    from spectra import load_analysis
    from spectra.results.claims.negative_share_result import (
        negative_share_to_plain,
        negative_shares,
        save_negative_share,
    )

    stored = [name.endswith(".json") for name in run]
    if not all(stored) and (any(stored) or len(run) > 1):
        raise InputError("give one run, or .json files of 'spectra analyze' alone")
    title = "stored results" if all(stored) else run[0].removeprefix("bundled:").rstrip("/")
    name = title.rpartition("/")[2].replace(" ", "-")
    folder = hold(output or Path("runs") / f"ghorbani2019-{file_name(name)}", "ghorbani2019.json")
    if all(stored):
        analyses = [load_analysis(path) for path in run]
    else:
        analyses = _analyzed(run[0], source, loading, asked, folder)
    for analysis in analyses:
        if analysis.protocol.images == FRESH:
            note(
                f"note: {analysis.checkpoint.title} is of fresh draws (--images fresh), which have "
                "no fixed matrix: its nodes are no eigenvalues, and its part no part of a spectrum"
            )
    result = negative_shares(analyses)
    written = [folder / "ghorbani2019.json"]
    save_negative_share(written[0], result)
    figure = plot_negative_share(result, title=title, width=width)
    written += save_figure(figure, folder / "ghorbani2019")
    if as_json:
        print_json({**negative_share_to_plain(result), "files": there(written)})
        return
    print_table(shares_table(title, result))
    tell("", result.sentence)
    say("written:")
    print_paths(written)


def _analyzed(
    run: str, source: str | None, loading: "LoadOptions", asked: AskedAnalysis, folder: Path
) -> "list[Analysis]":
    """Analyze the checkpoints of a run, or the one that is named."""
    from checkpoints import list_checkpoints, load_checkpoint
    from checkpoints.analysis.analyze import analyze
    from checkpoints.analysis.data_of import data_for
    from checkpoints.analysis.trajectory import analyze_trajectory

    request = asked.request(
        classes="overall,head,tail", num_probes=PROBES, bending=False, proof=False
    )
    with reporting("analyzing") as report:
        if "@" in run:
            checkpoint = load_checkpoint(run, loading)
            data, _ = data_for(checkpoint, source)
            return [
                analyze(
                    checkpoint, data, request, units=folder / "units", on_progress=report.update
                )
            ]
        list_checkpoints(run)
        return analyze_trajectory(
            run, request, folder=folder / "analyses", source=source, options=loading,
            on_progress=report.update,
        )  # fmt: skip


def _row(share: "ShareOfLoss") -> list[str]:
    return [
        share.checkpoint,
        "-" if share.epoch is None else str(share.epoch),
        share.label,
        number(share.loss),
        number(share.ratio),
        _percent(share.found.share),
        _interval(share.found),
        _percent(share.found.half_steps),
    ]


def _interval(found: "NegativeShare") -> str:
    if found.lower is None or found.upper is None:
        return "-"
    return f"{_percent(found.lower)} to {_percent(found.upper)}"


def _percent(part: float) -> str:
    return f"{100 * part:.2g} %"


def shares_table(title: str, result: "NegativeShareResult") -> Table:
    """Return a row for each loss and epoch."""
    return Table(
        f"{title}: the negative part of Σ|λ|",
        ["checkpoint", "epoch", "class", "loss", "ratio", "negative", "95 %", "half the steps"],
        [_row(share) for share in result.shares],
        optional=["loss"],
        meanings={
            "ratio": "|λmin/λmax|",
            "negative": "part of Σ|λ|",
            "95 %": "its interval over the random probes; what quadrature misses is not in it",
            "half the steps": "the same of half as many; where it differs, take more steps "
            "(--num-steps)",
        },
    )
