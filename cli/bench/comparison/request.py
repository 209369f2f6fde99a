"""What to compare, and how it is loaded."""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from checkpoints import (
    Checkpoint,
    DataRequest,
    ImageData,
    LoadOptions,
    list_checkpoints,
    load_checkpoint,
    load_data,
)
from checkpoints.analysis.class_losses import TORCH_DTYPES
from checkpoints.analysis.data_of import data_for, normalisation_for
from checkpoints.data.longtail import parse_class_list
from cli.bench.comparison.jobs import Stage
from cli.bench.workload import Workload, checkpoint_workload, class_workload, random_workload
from spectra.errors import InputError
from spectra.objective.short_memory import MEMORY_BUDGET

PRODUCTS = "products"
JOBS = ("extremes", "density", "trajectory")


@dataclass(frozen=True)
class ComparisonRequest:
    """What to compare.

    Attributes:
        checkpoint: reference of one, or of a run where a trajectory is asked for; None: ResNet-32
            with random weights.
        what: ``products`` and :data:`JOBS`; the products are timed in any case.
        source: of the images, as in ``--data``.
        normalisation: of the images, as in ``analyze``; None: as recorded, else the data's.
        loading: what other people's files do not say.
        classes: labels for the jobs, such as ``0,9`` or ``0-3``; None: all that have images.
        num_images: for the products.
        images_per_class: limit for the jobs.
        rounds: timed products of each.
        peer_batch: images that a peer takes at a time; None: all, up to 128.
        micro_chunk: images that we take at a time; None: our default.
        memory_budget: bytes for our kept primal work in the jobs.
        dtype: ``float32`` or ``float64``.
        device: torch device.
        seed: of every random number.
        reference_file: where converged extremes are kept.
        protocol_images: see :class:`cli.bench.comparison.jobs.JobSettings`.
    """

    checkpoint: str | None = None
    what: tuple[str, ...] = (PRODUCTS,)
    source: str | None = None
    normalisation: str | None = None
    loading: LoadOptions = field(default_factory=LoadOptions)
    classes: str | None = None
    num_images: int = 256
    images_per_class: int = 1000
    rounds: int = 5
    peer_batch: int | None = None
    micro_chunk: int | None = None
    memory_budget: int = MEMORY_BUDGET
    dtype: str = "float32"
    device: str = "cpu"
    seed: int = 0
    reference_file: Path | None = None
    protocol_images: int | None = None


def check(request: ComparisonRequest) -> None:
    """Raise InputError unless the request's parts fit together."""
    unknown = [part for part in request.what if part not in (PRODUCTS, *JOBS)]
    if unknown or not request.what:
        raise InputError(
            f"what must name {', '.join((PRODUCTS, *JOBS))}, joined by commas; got "
            f"{','.join(request.what)!r}"
        )
    if request.checkpoint is None and set(request.what) & set(JOBS):
        raise InputError("the jobs need a checkpoint; name one, such as bundled:digits/ce-drw")
    for name, value in (
        ("rounds", request.rounds),
        ("peer-batch", request.peer_batch),
        ("micro-chunk", request.micro_chunk),
        ("protocol-images", request.protocol_images),
    ):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")


def load(
    request: ComparisonRequest, notes: list[str]
) -> tuple[Checkpoint | None, ImageData | None]:
    """Return checkpoint and data where the request names them; remarks go to ``notes``."""
    if request.checkpoint is None:
        return None, load_data(DataRequest(request.source)) if request.source else None
    checkpoint = load_checkpoint(request.checkpoint, request.loading)
    data, remarks = data_for(checkpoint, request.source)
    notes += [*checkpoint.notes, *remarks]
    return _normalised(checkpoint, data, request), data


def product_workload(
    request: ComparisonRequest, checkpoint: Checkpoint | None, data: ImageData | None
) -> Workload:
    """Return what the products are timed on."""
    dtype = TORCH_DTYPES[request.dtype]
    if checkpoint is None or data is None:
        return random_workload(
            request.num_images, seed=request.seed, dtype=dtype, device=request.device, data=data
        )
    return checkpoint_workload(
        checkpoint,
        data,
        request.num_images,
        seed=request.seed,
        dtype=dtype,
        device=request.device,
    )


def stage(checkpoint: Checkpoint, data: ImageData, request: ComparisonRequest) -> Stage:
    """Return the classes of a checkpoint that the jobs run over."""
    counts = data.class_counts
    if request.classes is None:
        classes = tuple(c for c, n in enumerate(counts) if n)
    else:
        classes = parse_class_list(request.classes, num_classes=len(counts))
    epoch = "" if checkpoint.epoch is None else f" epoch {checkpoint.epoch}"
    return Stage(
        f"{checkpoint.name}{epoch}",
        checkpoint.digest(),
        classes,
        partial(
            class_workload,
            checkpoint,
            data,
            per_class=request.images_per_class,
            seed=request.seed,
            dtype=TORCH_DTYPES[request.dtype],
            device=request.device,
        ),
    )


def stages(run: str, data: ImageData, request: ComparisonRequest) -> list[Stage]:
    """Return the checkpoints of a run, in the order of training."""
    found = list_checkpoints(run)
    if len(found) < 2:
        raise InputError(f"a trajectory needs a run's folder with checkpoints, got {run}")
    checkpoints = (load_checkpoint(path, request.loading) for _, path in found)
    return [stage(_normalised(c, data, request), data, request) for c in checkpoints]


def _normalised(checkpoint: Checkpoint, data: ImageData, request: ComparisonRequest) -> Checkpoint:
    """Return the checkpoint with the normalisation that the request names, if it does."""
    if request.normalisation is None:
        return checkpoint
    named = normalisation_for(checkpoint, data, request.normalisation)
    return replace(checkpoint, normalisation=named)
