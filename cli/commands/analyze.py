"""``spectra analyze``: per-class spectra of one checkpoint."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.display.lines import note, print_paths, say
from cli.display.progress import reporting
from cli.options import shared
from cli.options.analysis import AskedAnalysis, analysis_flags
from cli.options.completion import checkpoint_names
from cli.options.flags import ANALYZED, CERTIFICATES, OUTPUT, Flag, command
from cli.options.values import hold
from spectra.errors import InputError, NonFiniteError
from spectra.system.files.names import file_name

if TYPE_CHECKING:
    from checkpoints import Checkpoint, ImageData, LoadOptions
    from checkpoints.analysis.request import AnalysisRequest
    from spectra import Analysis

_ALWAYS = ("analysis.json", "table.csv", "certificates.txt")
# Written by some requests alone, into the folder of the result.
_OPTIONAL = ("groups.csv", "layers.*", "density*.*", "vectors-*.safetensors")


@command(
    short_help="How each class's loss bends at a checkpoint, and a verdict.",
    examples="""
    # every class of a bundled checkpoint
    spectra analyze bundled:digits/ce-drw
    # epoch 100 of a run, the tail classes alone, without densities
    spectra analyze runs/mine@100 --class tail --num-probes 0
    # weights, network and images of your own
    spectra analyze mine.pth --arch net.py:Net --data folder:photos,32
    # the first again by two processes, which take one class after the other
    torchrun --nproc-per-node 2 -m cli analyze bundled:digits/ce-drw
    """,
    over_ranks=True,
)
@click.argument("checkpoint", shell_complete=checkpoint_names)
@shared.source
@shared.profile
@shared.loading
@analysis_flags
@shared.share
@Flag(
    "--compare-protocols",
    heading=ANALYZED,
    is_flag=True,
    help="Plain images, 1, 4 and 16 frozen augmentations, and the published fresh draws by our "
    "recurrence and PyHessian's, side by side; extremes alone unless --num-probes is given. fresh "
    "and /pyhessian take 100 steps, as published, unless --num-steps is given.",
)
@Flag(
    "--protocols",
    "chosen_protocols",
    heading=ANALYZED,
    help="Others to compare, such as plain,frozen:all,fresh/pyhessian; implies "
    "--compare-protocols.",
)
@Flag(
    "--certificates",
    heading=CERTIFICATES,
    is_flag=True,
    help="Print what is known of each λmin and λmax, and why.",
)
@Flag(
    "--explain",
    heading=OUTPUT,
    is_flag=True,
    help="Print all that is said of each class: what, why, and what would change it.",
)
@shared.output
@Flag(
    "--save-vectors",
    heading=OUTPUT,
    is_flag=True,
    help="Keep the eigenvectors of each loss, of --top or of λmin and λmax: "
    "vectors-8.safetensors for class 8.",
)
@Flag("--no-figures", heading=OUTPUT, is_flag=True, help="Write no figures.")
@shared.figure_width
@shared.style
def analyze(
    checkpoint: str,
    source: str | None,
    profile: dict[str, Any],
    loading: "LoadOptions",
    asked: AskedAnalysis,
    share: str,
    output: Path | None,
    save_vectors: bool,
    no_figures: bool,
    width: str,
    certificates: bool,
    explain: bool,
    compare_protocols: bool,
    chosen_protocols: str | None,
    style: str,
) -> None:
    """Compute the Hessian spectrum of every class's loss at CHECKPOINT.

    CHECKPOINT is a file, a run's folder (its last epoch), either folder with @EPOCH, or
    bundled:digits/RECIPE. Other people's .pth, .pt, .th and .pth.tar files work too, and folders
    that save_pretrained wrote; docs/foreign-models.md says how to name network and data.
    """
    from checkpoints import DataRequest, load_checkpoint
    from checkpoints.analysis.compare_protocols import PROTOCOLS, parse_protocols
    from checkpoints.analysis.data_of import data_for, notes_of
    from checkpoints.analysis.named_classes import smaller_groups
    from checkpoints.data.views import FRESH, ImageProtocol
    from checkpoints.load import notes_of_folder
    from cli.display.analyses import analysis_tables
    from cli.display.styles import printed_for_others
    from spectra import Analysis
    from spectra.results.groups.summary import rows_of_groups

    compared: Sequence[str] = PROTOCOLS
    if chosen_protocols is not None:
        compare_protocols, compared = True, parse_protocols(chosen_protocols)
    request = asked.request(num_probes=0) if compare_protocols else asked.request()
    kind = "protocols" if compare_protocols else "analyze"
    if save_vectors and (compare_protocols or ImageProtocol.parse(request.images).kind == FRESH):
        raise InputError(
            "images fresh have no fixed matrix, and a comparison of protocols keeps values alone: "
            "no eigenvectors to save; leave out --save-vectors, or take --images plain or frozen:K"
        )
    sure = ("protocols.json",) if compare_protocols else _ALWAYS
    folder = hold(output or Path("runs") / f"{kind}-{_slug(checkpoint)}", *sure)
    loaded = load_checkpoint(checkpoint, loading)
    wanted = DataRequest(source or "digits", **profile) if profile else None
    data, notes = data_for(loaded, source, request=wanted)
    of_loaded = notes_of(loaded, data, request.normalisation)
    fewer = smaller_groups(request, loaded, data)
    for text in (*notes_of_folder(checkpoint), *of_loaded, *notes, *fewer):
        note(f"note: {text}")
    if compare_protocols:
        from cli.commands.protocols.compared import compare

        compare(
            loaded,
            data,
            request,
            folder,
            compared,
            num_steps=asked["num_steps"],
            width=None if no_figures else width,
            style=style,
        )
    else:
        failed = None
        try:
            analysis = _analyze(loaded, data, request, folder, share, keep_vectors=save_vectors)
        except NonFiniteError as error:
            if not isinstance(error.found, Analysis):
                raise
            analysis, failed = error.found, error
        if analysis is None:  # rank 0 has it, and writes and prints
            return
        sheet = None if no_figures else width
        written = _write(analysis, request, folder, sheet, keep_vectors=save_vectors)
        rows = analysis.rows()
        if not printed_for_others(
            style,
            plain={
                "classes": rows,
                **rows_of_groups(analysis),
                "files": [str(path) for path in written],
            },
            rows=rows,
            tables=analysis_tables(analysis),
            written=written,
        ):
            _show(analysis, written, certificates=certificates, explain=explain)
        if failed is not None:
            raise NonFiniteError(f"{failed}; what is shown and written has the other classes")


def _analyze(
    loaded: "Checkpoint",
    data: "ImageData",
    request: "AnalysisRequest",
    folder: Path,
    share: str,
    *,
    keep_vectors: bool,
) -> "Analysis | None":
    """Return what was found, by all processes of this job; None on all but the first of them."""
    from checkpoints import analyze as analyze_checkpoint
    from checkpoints.analysis.shared_out.sharing import shared_out

    with reporting(f"analyzing {loaded.name}") as report:
        return shared_out(
            lambda sharing: analyze_checkpoint(
                loaded,
                data,
                request,
                units=folder / "units",
                vectors=folder if keep_vectors else None,
                sharing=sharing,
                on_progress=report.update,
            ),
            share,
        )


def _write(
    analysis: "Analysis",
    request: "AnalysisRequest",
    folder: Path,
    width: str | None,
    *,
    keep_vectors: bool,
) -> list[Path]:
    """Write a result, and return its files; without a width there are no figures."""
    from checkpoints.analysis.vectors import vectors_path
    from figures import draw_analysis
    from spectra import save_analysis
    from spectra.results.groups.summary import rows_of_groups
    from spectra.results.tables import certificate_lines, layers_to_csv, rows_to_csv, to_csv
    from spectra.system.files.writing import write_atomically

    save_analysis(folder / "analysis.json", analysis)
    write_atomically(folder / "table.csv", to_csv(analysis.records).encode())
    text = "\n".join(certificate_lines(analysis.records)) + "\n"
    write_atomically(folder / "certificates.txt", text.encode())
    written = [folder / name for name in _ALWAYS]
    for name, rows in rows_of_groups(analysis).items():
        write_atomically(folder / f"{name}.csv", rows_to_csv(rows).encode())
        written.append(folder / f"{name}.csv")
    if request.solver.per_layer:
        table = layers_to_csv(analysis.records)
        write_atomically(folder / "layers.csv", table.encode())
        written.append(folder / "layers.csv")
    if keep_vectors:
        written += [vectors_path(folder, record.label) for record in analysis.records]
    if width is not None:
        with reporting("drawing"):
            written += draw_analysis(analysis, folder, width=width)
    _note_stale(folder, written)
    return written


def _note_stale(folder: Path, written: "Sequence[Path]") -> None:
    """Say which files of the folder an earlier request wrote, and this one did not."""
    there = sorted({path for pattern in _OPTIONAL for path in folder.glob(pattern)} - {*written})
    if there:
        named = ", ".join(path.name for path in there)
        note(f"note: of an earlier request, and not of this result: {named} in {folder}")


def _show(
    analysis: "Analysis", written: Sequence[Path], *, certificates: bool, explain: bool
) -> None:
    from cli.display.analyses import print_analysis, print_sentences
    from spectra.results.said.explanations import explanations
    from spectra.results.tables import certificate_lines

    print_analysis(analysis)
    if explain:
        say(*explanations(analysis.records))
    else:
        print_sentences(analysis.records)
    if certificates:
        say(*certificate_lines(analysis.records))
    say("written:")
    print_paths(written)


def _slug(reference: str) -> str:
    path = Path(reference.removeprefix("bundled:"))
    parts = [part for part in path.parts if part not in ("/", "..", ".", "runs", "checkpoints")]
    return file_name(re.sub(r"[^\w.@-]+", "-", "-".join(parts[-3:])) or "checkpoint")
