"""Several protocols at one checkpoint, side by side: ``spectra analyze --compare-protocols``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.display.lines import print_paths, say
from cli.display.progress import reporting
from spectra.errors import InputError

if TYPE_CHECKING:
    from checkpoints import Checkpoint, ImageData
    from checkpoints.analysis.request import AnalysisRequest


def compare(
    checkpoint: "Checkpoint",
    data: "ImageData",
    request: "AnalysisRequest",
    folder: Path,
    compared: Sequence[str],
    *,
    num_steps: int | None,
    width: str | None,
    style: str,
) -> None:
    """Measure a checkpoint under several protocols, and show them beside each other.

    Args:
        checkpoint: the weights.
        data: images.
        request: what is measured under each.
        folder: for the results.
        compared: names of the protocols.
        num_steps: of the published recurrence, where the user has given them.
        width: of the figure; None: there is none.
        style: how results are printed.

    Raises:
        InputError: several processes are to do it.
    """
    from checkpoints.analysis.compare_protocols import compare_protocols
    from cli.display.found.protocols import protocols_table
    from cli.display.styles import printed_for_others
    from cli.display.tables import print_table
    from figures import plot_protocols, save_figure
    from figures.style.class_colours import counts_of
    from spectra.results.plain import to_plain
    from spectra.results.protocol_rows import protocol_rows
    from spectra.system.files.writing import write_json
    from spectra.system.ranks import world_here

    if (size := world_here().size) > 1:
        raise InputError(
            f"protocols are compared in one process, and torchrun has started {size}; give the "
            "command without torchrun"
        )
    with reporting(f"analyzing {checkpoint.name}") as report:
        found = compare_protocols(
            checkpoint,
            data,
            request,
            folder=folder,
            protocols=compared,
            num_steps=num_steps,
            on_progress=report.update,
        )
    rows = protocol_rows(found)
    plain = to_plain(rows)
    written = [folder / "protocols.json"]
    write_json(written[0], plain)
    if width is not None:
        figure = plot_protocols(
            {"": rows},
            order=compared,
            class_counts=counts_of(found.values()),
            title=checkpoint.name,
            width=width,
        )
        written += save_figure(figure, folder / "protocols")
    table = protocols_table(checkpoint.name, rows)
    if printed_for_others(style, plain=plain, rows=plain, tables=[table], written=written):
        return
    print_table(table)
    say("written:")
    print_paths(written)
