"""``spectra bench``: our engine beside its peers, in one run."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from checkpoints.choices import DTYPES
from cli.bench.gpu_references.sizes import CHECKPOINT, SECONDS
from cli.display.lines import note, print_json, say, tell
from cli.display.progress import reporting
from cli.display.tables import Table, print_table
from cli.options import shared
from cli.options.flags import COMPUTING, DATA, OUTPUT, Flag, command
from cli.options.values import hold, parse_memory, pick_device
from spectra.errors import InputError, SpectraError

if TYPE_CHECKING:
    from checkpoints import LoadOptions
    from cli.bench.gpu_ledger.suite_request import SuiteRequest


COMPARED = "What is compared"
SUITE = "The suite for a GPU"


@command(
    short_help="Time and check us beside PyHessian and two others.",
    examples="""
    # products of a ResNet-32 with random weights
    spectra bench
    # extremes of two classes of a checkpoint
    spectra bench bundled:digits/ce-drw --what extremes --classes 0,9
    # building and products of small networks
    spectra bench --arch vit,lstm
    """,
)
@click.argument("checkpoint", required=False)
@Flag(
    "--what",
    heading=COMPARED,
    default="products",
    show_default=True,
    help="products, extremes, density, trajectory; joined by commas.",
)
@Flag(
    "--data",
    "source",
    heading=DATA,
    help="Images, as in analyze. [the checkpoint's, else random 32x32]",
)
@Flag("--classes", heading=COMPARED, help="Labels for the jobs, such as 0,9 or 0-3. [all]")
@Flag(
    "--images",
    "num_images",
    heading=COMPARED,
    default=256,
    show_default=True,
    help="Images for the products.",
)
@Flag(
    "--images-per-class",
    heading=COMPARED,
    default=1000,
    show_default=True,
    help="Limit for the jobs' classes.",
)
@Flag("--rounds", heading=COMPARED, default=5, show_default=True, help="Timed products of each.")
@Flag(
    "--micro-chunk", heading=COMPUTING, type=int, help="Images we take at a time. [by image size]"
)
@Flag(
    "--peer-batch",
    heading=COMPARED,
    type=int,
    help="Images a peer takes at a time. [all, up to 128]",
)
@Flag(
    "--memory",
    heading=COMPUTING,
    default="2GiB",
    show_default=True,
    help="For our kept primal work in the jobs; the products keep all.",
)
@Flag("--dtype", heading=COMPUTING, type=click.Choice(DTYPES), default="float32", show_default=True)
@Flag(
    "--reference-file",
    heading=OUTPUT,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where converged extremes are kept for the next run.",
)
@Flag(
    "--protocol-images",
    heading=COMPARED,
    type=int,
    help="Count PyHessian's loops, 145 to 300 passes, only on classes of at most so many images. "
    "[no limit]",
)
@Flag(
    "--suite",
    heading=SUITE,
    type=click.Choice(["gpu"]),
    help="gpu: everything that a GPU has to show, in one run; see docs/gpu.md.",
)
@Flag(
    "--seconds",
    heading=SUITE,
    type=float,
    default=SECONDS,
    show_default=True,
    help="The suite stops by then; the same command goes on from there.",
)
@Flag(
    "--prepare",
    "prepares",
    heading=SUITE,
    is_flag=True,
    help="Make the suite's float64 references on the CPU, into -o.",
)
@Flag(
    "--prepared",
    heading=SUITE,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the suite's references. [OUTPUT/prepared]",
)
@Flag(
    "--dry-run", heading=SUITE, is_flag=True, help="Walk the suite's steps on the CPU, at toy size."
)
@Flag(
    "--recipes",
    heading=SUITE,
    help="What the suite trains, joined by commas, or none. [ce-drw-sam; ce-drw takes as long]",
)
@shared.output
@shared.normalisation
@shared.loading
@shared.device
@shared.seed
@shared.as_json
def bench(
    checkpoint: str | None,
    what: str,
    suite: str | None,
    seconds: float,
    prepares: bool,
    prepared: Path | None,
    dry_run: bool,
    recipes: str | None,
    output: Path | None,
    loading: "LoadOptions",
    device: str,
    memory: str,
    as_json: bool,
    **rest: Any,
) -> None:
    """Run the same work on our engine and on every peer that is installed, in turn.

    Without CHECKPOINT: products of a ResNet-32 with random weights. The jobs need a CHECKPOINT;
    trajectory takes a run's folder. Peers that are not installed are named and left out; 'make
    bench-env' installs them. Exits with an error if a peer's product, or ours, is wrong.

    With --arch and without CHECKPOINT: building and 30 products with 64 samples and a small
    network (bn-resnet, gn-resnet, convnext, vit, mixer, lstm, mlp, gpt; several joined by commas,
    or all), ours and PyHessian's way, the worst ratio first.

    With --suite gpu: correctness against references that --prepare makes, products, extremes,
    a training and its analysis, densities, each kept as soon as it is there. OUTPUT/send then
    holds what is worth sending.
    """
    from cli.bench.comparison import tables
    from cli.bench.comparison.compare import run_comparison
    from cli.bench.comparison.request import ComparisonRequest
    from cli.bench.gpu_ledger.suite_request import SuiteRequest, parse_recipes

    if suite is not None:
        request = SuiteRequest(
            hold(output or Path("runs") / f"suite-{suite}"),
            prepared,
            seconds,
            "cpu" if dry_run or prepares else pick_device(device),
            dry_run,
            recipes=parse_recipes(recipes),
        )
        _suite(request, prepares, rest["source"], checkpoint or CHECKPOINT, as_json)
        return
    if prepares or dry_run or any(x is not None for x in (prepared, output, recipes)):
        raise InputError(
            "--prepare, --prepared, --dry-run, --recipes and -o go with --suite gpu; add it"
        )
    if checkpoint is None and loading.arch is not None:
        if what != "products" or rest["source"] is not None:
            raise InputError("--arch without a CHECKPOINT goes with --what products, without data")
        _gallery(loading.arch, rest["rounds"], rest["dtype"], rest["seed"], as_json)
        return
    wanted = ComparisonRequest(
        checkpoint=checkpoint,
        what=tuple(part.strip() for part in what.split(",") if part.strip()),
        loading=loading,
        device=pick_device(device),
        memory_budget=parse_memory(memory),
        **rest,
    )
    with reporting("bench") as report:
        result = run_comparison(wanted, on_progress=report.update)
    for text in result.notes:
        note(f"note: {text}")
    if as_json:
        print_json(tables.as_plain(result.products, result.jobs, result.classes, result.machine))
    else:
        tables.print_comparison(result)
    if result.products.wrong:
        raise SpectraError(
            f"products differ from float64 by more than {result.products.allowed_error:.0e}: "
            f"{', '.join(result.products.wrong)}"
        )


def _suite(
    request: "SuiteRequest", prepares: bool, source: str | None, checkpoint: str, as_json: bool
) -> None:
    from cli.bench.gpu.run_suite import ABORTED, run_suite
    from cli.bench.gpu.summary_table import COLUMNS
    from cli.bench.gpu_references.make_references import prepare

    if prepares:
        prepare(request.folder, source=source, checkpoint=checkpoint, say=note)
        return
    results = run_suite(request, say=note)
    if as_json:
        print_json(results.to_dict())
    else:
        print_table(Table("GPU suite" + " (dry run)" * request.dry_run, COLUMNS, results.table))
        say(f"{results.status}; results and weights to send: {request.folder / 'send'}")
    if results.status == ABORTED:
        raise click.ClickException(str(results.reason))  # exit code 1


def _gallery(arch: str, rounds: int, dtype: str, seed: int, as_json: bool) -> None:
    from checkpoints.analysis.class_losses import TORCH_DTYPES
    from cli.bench.gallery import gallery_table
    from cli.bench.gallery.subjects import SAMPLES, chosen_names
    from cli.bench.gallery.whole_costs import PRODUCTS, compare_gallery
    from cli.bench.machine import machine_facts

    names = chosen_names(arch)
    with reporting("bench") as report:
        rows = compare_gallery(
            names, rounds=rounds, dtype=TORCH_DTYPES[dtype], seed=seed, on_progress=report.update
        )
    facts = replace(machine_facts("cpu", {}), threads=1)
    if as_json:
        print_json(gallery_table.as_plain(rows, facts))
    else:
        print_table(
            Table("Building and products", gallery_table.COLUMNS, gallery_table.cells(rows))
        )
        tell(gallery_table.footnote(SAMPLES, PRODUCTS, rounds, dtype))
        say(f"{facts.cpu}, 1 thread of {facts.cores} cores, torch {facts.torch}")
    wrong = [row.name for row in rows if not row.agrees]
    if wrong:
        raise SpectraError(f"products differ from float64: {', '.join(wrong)}")
