"""``spectra analyze``: per-class spectra of one checkpoint."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from checkpoints import Checkpoint, ImageData, LoadOptions, load_checkpoint
from checkpoints.analysis.analyze import analyze as analyze_checkpoint
from checkpoints.analysis.compare_protocols import PROTOCOLS, compare_protocols, parse_protocols
from checkpoints.analysis.data_of import data_for
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.training.threads import suitable_threads
from cli import options
from cli.display import (
    certificate_lines,
    note,
    print_analysis,
    print_certificates,
    print_json,
    print_paths,
    print_protocols,
    reporting,
)
from figures.drawing import draw_analysis
from spectra import save_analysis
from spectra.krylov.defaults import NUM_PROBES
from spectra.results.plain import to_plain
from spectra.results.protocol_rows import protocol_rows
from spectra.results.tables import to_csv
from spectra.system.files import write_atomically, write_json


@click.command(short_help="Per-class Hessian spectra of one checkpoint.")
@click.argument("checkpoint")
@options.data_source
@options.profile
@options.what
@options.solver
@options.foreign
@options.output
@click.option("--no-figures", is_flag=True, help="Write no figures.")
@click.option(
    "--certificates", is_flag=True, help="Print what is known of each λmin and λmax, and why."
)
@click.option(
    "--compare-protocols",
    is_flag=True,
    help="Plain images, 1, 4 and 16 frozen augmentations, and the published fresh draws by our "
    "recurrence and PyHessian's, side by side; extremes alone unless --num-probes is given.",
)
@click.option(
    "--protocols",
    "chosen_protocols",
    help="Others to compare, such as plain,frozen:all,fresh/pyhessian; implies "
    "--compare-protocols.",
)
@options.seed
@options.device
@options.as_json
def analyze(
    checkpoint: str,
    source: str | None,
    profile: str | None,
    imbalance_factor: float | None,
    n_max: int | None,
    arch: str | None,
    num_classes: int | None,
    head: str | None,
    output: Path | None,
    no_figures: bool,
    certificates: bool,
    compare_protocols: bool,
    chosen_protocols: str | None,
    seed: int,
    device: str,
    as_json: bool,
    **rest: Any,
) -> None:
    """Compute the Hessian spectrum of every class's loss at CHECKPOINT.

    CHECKPOINT is a file, a run's folder (its last epoch), either folder with @EPOCH, or
    bundled:digits/RECIPE. Other people's .pth, .pt, .th and .pth.tar files work too.
    """
    compared: Sequence[str] = PROTOCOLS
    if chosen_protocols is not None:
        compare_protocols, compared = True, parse_protocols(chosen_protocols)
    request = options.analysis_request(
        rest, seed=seed, device=device, num_probes=0 if compare_protocols else NUM_PROBES
    )
    kind = "protocols" if compare_protocols else "analyze"
    folder = options.writable(output or Path("runs") / f"{kind}-{_slug(checkpoint)}")
    loaded = load_checkpoint(checkpoint, LoadOptions(arch, num_classes, head))
    custom = profile or imbalance_factor is not None or n_max is not None
    wanted = options.data_request(source, profile, imbalance_factor, n_max) if custom else None
    data, notes = data_for(loaded, source, request=wanted)
    for text in (*loaded.notes, *notes):
        note(f"note: {text}")
    if compare_protocols:
        _compare(loaded, data, request, folder, compared, as_json=as_json)
        return
    with reporting(f"analyzing {loaded.name}") as report, suitable_threads(data):
        analysis = analyze_checkpoint(
            loaded,
            data,
            request,
            units=folder / "units",
            on_progress=report.update,
        )
    save_analysis(folder / "analysis.json", analysis)
    write_atomically(folder / "table.csv", to_csv(analysis.records).encode())
    text = "\n".join(certificate_lines(analysis)) + "\n"
    write_atomically(folder / "certificates.txt", text.encode())
    written = [folder / name for name in ("analysis.json", "table.csv", "certificates.txt")]
    if not no_figures:
        written += draw_analysis(analysis, folder)
    if as_json:
        print_json({"classes": analysis.rows(), "files": [str(path) for path in written]})
        return
    print_analysis(analysis)
    if certificates:
        print_certificates(analysis)
    click.echo("written:")
    print_paths(written)


def _compare(
    checkpoint: Checkpoint,
    data: ImageData,
    request: AnalysisRequest,
    folder: Path,
    compared: Sequence[str],
    *,
    as_json: bool,
) -> None:
    with reporting(f"analyzing {checkpoint.name}") as report, suitable_threads(data):
        found = compare_protocols(
            checkpoint,
            data,
            request,
            folder=folder,
            protocols=compared,
            on_progress=report.update,
        )
    rows = protocol_rows(found)
    plain = to_plain(rows)
    write_json(folder / "protocols.json", plain)
    if as_json:
        print_json(plain)
        return
    print_protocols(checkpoint.name, rows)
    click.echo("written:")
    print_paths([folder / "protocols.json"])


def _slug(reference: str) -> str:
    path = Path(reference.removeprefix("bundled:"))
    parts = [part for part in path.parts if part not in ("/", "..", ".", "runs", "checkpoints")]
    return re.sub(r"[^\w.@-]+", "-", "-".join(parts[-3:])) or "checkpoint"
