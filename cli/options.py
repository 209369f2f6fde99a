"""Options that several commands share, and how they become requests."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click
import torch

from checkpoints import DataRequest, choices
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.training.execution import Execution
from spectra import ENGINES, SolverSettings
from spectra.errors import InputError
from spectra.findings.verdict import TAU
from spectra.krylov.defaults import MAX_STEPS, NUM_PROBES, NUM_STEPS, PROBES, STORAGES
from spectra.objective.placement import indexed
from spectra.system.cards import card

F = TypeVar("F", bound=Callable[..., Any])


def _combine(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class Folder(click.Path):
    """A folder's path; empty text, which would mean the working directory, is refused."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not str(value).strip():
            self.fail("expected a folder, got nothing; '.' is the working directory", param, ctx)
        return super().convert(value, param, ctx)


output = click.option("-o", "--output", type=Folder(), help="Folder for results. [runs/NAME]")
seed = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of every random number.",
)
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto (a GPU where there is one), cpu, cuda (the current GPU) or cuda:N.",
)
_execution = _combine(
    click.option(
        "--precision",
        type=click.Choice(choices.PRECISIONS),
        default="float32",
        show_default=True,
        help="Of training passes; tf32: GPUs alone. Weights and losses stay float32.",
    ),
    click.option(
        "--channels-last", is_flag=True, help="Train in that memory layout: faster, other rounding."
    ),
    click.option("--compile", "compiled", is_flag=True, help="Compile the network for training."),
    click.option(
        "--capture",
        "captured",
        is_flag=True,
        help="Record the training step as a CUDA graph. Not yet run on a GPU.",
    ),
)


def execution(function: F) -> F:
    """Add the options of training passes; the command gets them as one ``execution``."""

    @functools.wraps(function)
    def command(
        *args: Any,
        precision: str,
        channels_last: bool,
        compiled: bool,
        captured: bool,
        **rest: Any,
    ) -> Any:
        chosen = Execution(precision, channels_last, compiled, captured)
        return function(*args, execution=chosen, **rest)

    return cast(F, _execution(command))


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")

data_source = click.option(
    "--data",
    "source",
    help="digits, cifar10[:FOLDER], cifar100[:FOLDER] or npz:TRAIN.npz[,TEST.npz]; "
    "missing places are looked up in SPECTRA_DATA.",
)
profile = _combine(
    click.option("--profile", type=click.Choice(choices.PROFILES), help="Long-tail profile."),
    click.option("--imbalance-factor", type=float, help="Smallest over largest class."),
    click.option("--n-max", type=int, help="Images of the largest class."),
)
foreign = _combine(
    click.option(
        "--arch",
        help=f"Architecture where the file does not say: {', '.join(choices.ARCHITECTURES)} "
        "or module:factory.",
    ),
    click.option("--num-classes", type=int, help="Outputs, where the file does not say."),
    click.option("--head", type=click.Choice(choices.HEADS), help="Likewise."),
)
normalisation = click.option(
    "--normalisation",
    help="What the images went through in training: "
    f"{', '.join(choices.NORMALISATION_NAMES)}, none, data (the training "
    "images' own moments) or m1,m2,m3/s1,s2,s3. "
    "[as recorded, else the data's default]",
)
solver = _combine(
    click.option(
        "--engine", type=click.Choice(list(ENGINES)), default="spectra", show_default=True
    ),
    click.option(
        "--num-probes",
        type=int,
        help="Probes of the density; 0: extremes alone, on active images. Alias: n_v.  "
        f"[{NUM_PROBES}; trajectory: 0]",
    ),
    click.option("--num-steps", default=NUM_STEPS, show_default=True, help="Alias: iter, ncv."),
    click.option("--probe", type=click.Choice(PROBES), default="normal", show_default=True),
    click.option(
        "--tol",
        type=float,
        help="Relative residual of the extremes. [0.01; without a density 0.03 over all images]",
    ),
    click.option(
        "--max-steps", default=MAX_STEPS, show_default=True, help="Limit for the extremes."
    ),
    click.option(
        "--proof/--no-proof",
        default=None,
        help="Judge the extremes in a float64 pass over all images. [yes; trajectory: no]",
    ),
    click.option(
        "--density-images",
        type=click.Choice(["all", "auto"]),
        default="all",
        show_default=True,
        help="auto: density from the images that bend the loss, where a stated bound allows it.",
    ),
    click.option(
        "--certify-below",
        is_flag=True,
        help="Run until λmin is bounded from below, with 95 % probability: all images, a cold "
        "start, often 2 to 5 times the steps.",
    ),
    click.option(
        "--basis",
        type=click.Choice(STORAGES),
        default="device",
        show_default=True,
        help="Where Lanczos keeps its vectors; none: a second pass instead.",
    ),
)
what = _combine(
    click.option(
        "--classes",
        help="all, overall, head, mid, tail, labels such as 0,9 or 0-3; joined by commas.",
    ),
    normalisation,
    click.option("--groups", help="Head/mid/tail, such as 0-2/3-6/7-9. [by class size]"),
    click.option("--split", type=click.Choice(choices.SPLITS), default="train", show_default=True),
    click.option(
        "--loss",
        type=click.Choice(choices.ANALYZED_LOSSES),
        default="ce",
        show_default=True,
        help="ce: cross-entropy of scaled logits; train: as trained; reference: unscaled.",
    ),
    click.option(
        "--reduction",
        type=click.Choice(choices.REDUCTIONS),
        default="mean",
        show_default=True,
        help="mean over the images of the loss, or its global share of the whole.",
    ),
    click.option(
        "--images",
        default="plain",
        show_default=True,
        help="plain; frozen:K fixed augmentations of each image; frozen:all, every crop and flip; "
        "fresh: a new draw at every product, as published, which is no fixed matrix.",
    ),
    click.option("--images-per-class", type=int, help="Random subset of each class. [all]"),
    click.option(
        "--dtype", type=click.Choice(choices.DTYPES), default="float32", show_default=True
    ),
    click.option("--radius", type=float, help="r of the verdict. [the recipe's ρ, else 0.1]"),
    click.option("--tau", default=TAU, show_default=True, help="Tolerance of the verdict."),
    click.option("--micro-chunk", type=int, help="Images in one piece of work. [by image size]"),
    click.option(
        "--memory",
        help="What the process may hold in all, such as 4GiB. It decides how much work is kept "
        "between products, not the results. [half of what is free; of a GPU's memory 85 %]",
    ),
    click.option(
        "--tuning",
        default="default",
        show_default=True,
        help="How products are computed: measured (whatever is fastest here), or contiguous, "
        "benchmark, graphs and stacked:K joined by commas. For GPUs; see docs/gpu.md.",
    ),
    click.option(
        "--deterministic",
        is_flag=True,
        help="Refuse a tuning that may give other bytes each time.",
    ),
)


def writable(folder: Path) -> Path:
    """Return ``folder``, having written to it, or to where it will be made, before any work.

    Raises:
        InputError: that failed.
    """
    try:
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write to {folder} ({reason}); choose another -o") from error
    return folder


def pick_device(text: str) -> str:
    """Return the torch device that ``text`` means, and make a card the current one.

    ``cuda`` is the current card. So is ``auto`` where torch sees one, which is said on standard
    error; else it is the CPU. What other libraries send to the current card then goes there too.

    Raises:
        InputError: there is no such device here.
    """
    if text == "auto" and not torch.cuda.is_available():
        return "cpu"
    kind = text.partition(":")[0]
    if kind not in ("cpu", "cuda") and text != "auto":
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {text!r}")
    chosen = indexed("cuda" if text == "auto" else text)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if text == "auto":
        click.echo(f"computing on {card(chosen).describe()}", err=True)
    return str(chosen)


def parse_memory(text: str) -> int:
    """Return bytes for ``4GiB``, ``500MB``, ``2147483648``.

    Raises:
        InputError: not a size.
    """
    units = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
    number, factor = text.strip().lower(), 1
    for unit, size in units.items():
        if number.endswith(unit):
            number, factor = number.removesuffix(unit), size
            break
    try:
        value = float(number) * factor
    except ValueError:
        value = -1.0
    if not 0 <= value < 2**63:
        raise InputError(f"memory must read like 4GiB or 500MB, got {text!r}")
    return int(value)


def data_request(
    source: str | None,
    profile: str | None,
    imbalance_factor: float | None,
    n_max: int | None,
) -> DataRequest:
    """Return the data that the options ask for."""
    return DataRequest(source or "digits", profile, imbalance_factor, n_max)


def analysis_request(
    options: dict[str, Any],
    *,
    seed: int,
    device: str,
    num_probes: int = NUM_PROBES,
    proof: bool = True,
) -> AnalysisRequest:
    """Return the request of the options of ``what`` and ``solver``; the rest are their defaults."""
    if options["num_probes"] is not None:
        num_probes = options["num_probes"]
    if options["proof"] is not None:
        proof = options["proof"]
    return AnalysisRequest(
        classes="all" if options["classes"] is None else options["classes"],
        split=options["split"],
        loss=options["loss"],
        reduction=options["reduction"],
        groups=options["groups"],
        normalisation=options["normalisation"],
        images=options["images"],
        images_per_class=options["images_per_class"],
        dtype=options["dtype"],
        device=pick_device(device),
        radius=options["radius"],
        tau=options["tau"],
        micro_chunk=options["micro_chunk"],
        memory=None if options["memory"] is None else parse_memory(options["memory"]),
        tuning=options["tuning"],
        deterministic=options["deterministic"],
        solver=SolverSettings(
            engine=options["engine"],
            num_probes=num_probes,
            num_steps=options["num_steps"],
            probe=options["probe"],
            tol=options["tol"],
            max_steps=options["max_steps"],
            proof=proof,
            certify_below=options["certify_below"],
            basis=options["basis"],
            density_images=options["density_images"],
            seed=seed,
        ),
    )
