"""Analyze a checkpoint: the spectra of its per-class, group and overall losses."""

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy
import scipy
import torch

from checkpoints import Checkpoint, ImageData
from checkpoints.data import ImageProtocol, Normalisation, head_mid_tail
from checkpoints.data.longtail import parse_groups
from checkpoints.data.normalisations import from_images, parse_normalisation
from checkpoints.data.protocols import FRESH
from checkpoints.evaluation import ClassMetrics, evaluate
from checkpoints.schedules import ascent_radius
from cli.workflows.selection import (
    REDUCTIONS,
    LossTerms,
    choose_images,
    loss_terms,
    parse_selection,
)
from cli.workflows.warm import WarmStarts
from spectra import (
    Analysis,
    CrossEntropy,
    HessianOperator,
    LossAnalysis,
    SolverSettings,
    __version__,
    analyze_fresh,
    analyze_loss,
    load_analysis,
    make_generator,
    save_analysis,
)
from spectra.errors import InputError
from spectra.fresh import Draw
from spectra.memory import available_bytes, forecast, resident_bytes
from spectra.slq import StepCallback
from spectra.verdict import RADIUS, TAU

logger = logging.getLogger(__name__)
DTYPES = {"float32": torch.float32, "float64": torch.float64}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AnalysisRequest:
    """What to compute of a checkpoint.

    Attributes:
        classes: ``all``, ``overall``, ``head``, ``mid``, ``tail``, labels; joined by commas.
        split: ``train`` or ``test`` images.
        loss: ``ce``, ``train`` or ``reference``, see :func:`cli.workflows.selection.loss_terms`.
        reduction: ``mean`` over the images of each loss, or ``global``: its share of the whole.
        groups: ``0-2/3-6/7-9``; None: the paper's split by class size.
        normalisation: name or numbers, see ``parse_normalisation``, or ``data``; None: as the
            checkpoint recorded, else the data's default.
        images_per_class: limit; None: every image.
        dtype: ``float32`` or ``float64``.
        device: torch device.
        images: ``plain``, ``frozen:K``, ``frozen:all`` or ``fresh``, see
            :class:`checkpoints.data.ImageProtocol`; crops and flips are those of the recipe.
        radius: r of the verdict; None: the recipe's last ρ, else .1.
        tau: relative tolerance of the verdict.
        micro_chunk: images in one piece of work; None: by image size.
        memory: bytes that the process may hold in all; None: half of what is free.
        solver: engine, probes, steps, seed.
    """

    classes: str = "all"
    split: str = "train"
    loss: str = "ce"
    reduction: str = "mean"
    groups: str | None = None
    normalisation: str | None = None
    images_per_class: int | None = None
    dtype: str = "float32"
    device: str = "cpu"
    images: str = "plain"
    radius: float | None = None
    tau: float = TAU
    micro_chunk: int | None = None
    memory: int | None = None
    solver: SolverSettings = field(default_factory=SolverSettings)

    def groups_of(self, class_counts: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Return head, mid and tail."""
        if self.groups:
            return parse_groups(self.groups, num_classes=len(class_counts))
        return head_mid_tail(class_counts)


def analyze_checkpoint(
    checkpoint: Checkpoint,
    data: ImageData,
    request: AnalysisRequest,
    *,
    units: Path | None = None,
    warm: WarmStarts | None = None,
    on_progress: Progress | None = None,
) -> Analysis:
    """Analyze the chosen losses of one checkpoint.

    Args:
        checkpoint: weights.
        data: images; see :func:`cli.workflows.data.data_for`.
        request: what to compute.
        units: folder in which each loss's result is kept as soon as it is there, and from which a
            repeated call takes what an interrupted one had finished.
        warm: eigenvectors of the checkpoint before, and where to keep this one's.
        on_progress: called with (label, steps done, steps planned).

    Raises:
        InputError: the request does not fit checkpoint or data.
        NonFiniteError: a product held NaN or infinity.
    """
    if request.reduction not in REDUCTIONS:
        raise InputError(
            f"reduction must be one of {', '.join(REDUCTIONS)}, got {request.reduction!r}"
        )
    if request.dtype not in DTYPES:
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}, got {request.dtype!r}")
    counts = checkpoint.class_counts or data.class_counts
    chosen = parse_selection(
        request.classes, request.groups_of(counts), num_classes=data.num_classes
    )
    normalisation = _normalisation(request, checkpoint, data)
    terms = loss_terms(checkpoint, request.loss, counts)
    protocol = image_protocol(request, checkpoint)
    radius = request.radius if request.radius is not None else _radius(checkpoint)
    header = Analysis(
        checkpoint={
            **_identity(checkpoint, data, counts),
            # A warm start moves a result within its tolerance, so it is part of what it is of.
            **({"warm_from": warm.before} if warm else {}),
        },
        protocol=_protocol(request, normalisation, radius),
        records=(),
        versions=library_versions(),
    )
    finished = {label: _finished(header, units, label) for label in chosen}
    tests: ClassMetrics | None = None
    model = checkpoint.model()
    records = []
    checked = False  # the checks are of the network: once for a checkpoint is enough
    for label, classes in chosen.items():
        record = finished[label]
        if record is None:
            split_counts = data.split(request.split).counts(data.num_classes)
            if "all" in request.classes and not any(split_counts[c] for c in classes):
                logger.warning("class %s has no %s images and is left out", label, request.split)
                continue
            if tests is None:
                tests = test_accuracy(checkpoint, data, normalisation, device=request.device)
            op, factor, draw = _operator(
                model,
                data,
                normalisation,
                terms,
                request,
                protocol,
                label,
                classes,
                check=not checked,
            )
            if checked is False:
                logger.info("products by %s %s", op.choice.name, op.choice.reason)
            checked = True
            solver = _within_memory(op, request)
            common: dict[str, Any] = {
                "label": label,
                "classes": classes,
                "settings": solver,
                "factor": factor,
                "radius": radius,
                "tau": request.tau,
                "on_step": _step_callback(on_progress, label),
            }
            if draw is not None:
                record = analyze_fresh(op, draw, **common)
            else:
                record = analyze_loss(
                    op,
                    warm=warm.load(label) if warm else None,
                    independent=protocol.views == 1,
                    **common,
                )
            if warm is not None and record.extremes is not None:
                warm.save(label, record.extremes)
            # Without its vectors: a class's basis is not to stay while the next one runs.
            record = replace(record, accuracy=_accuracy(tests, classes), extremes=None)
            if units is not None:
                save_analysis(_unit_path(units, label), replace(header, records=(record,)))
        records.append(record)
    return replace(header, records=tuple(records))


def test_accuracy(
    checkpoint: Checkpoint, data: ImageData, normalisation: Normalisation, *, device: str
) -> ClassMetrics | None:
    """Return per-class accuracy on the test images; None where there are none.

    Without test images, what the checkpoint recorded when it was trained is taken.
    """
    if data.test is None:
        recorded = checkpoint.metrics.get("test")
        if not recorded:
            return None
        return ClassMetrics(
            tuple(recorded["accuracy"]), tuple(recorded["loss"]), recorded["overall"]
        )
    return evaluate(
        checkpoint.model().to(device),
        normalisation(data.test.images).to(device),
        data.test.labels.to(device),
        num_classes=data.num_classes,
        loss=CrossEntropy(),
    )


def library_versions() -> dict[str, str]:
    """Return what results depend on beside the inputs: library versions and the thread count."""
    return {
        "hessian-spectra": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
        "threads": str(torch.get_num_threads()),
    }


def _operator(
    model: torch.nn.Module,
    data: ImageData,
    normalisation: Normalisation,
    terms: LossTerms,
    request: AnalysisRequest,
    protocol: ImageProtocol,
    label: str,
    classes: tuple[int, ...],
    *,
    check: bool,
) -> tuple[HessianOperator, float, Draw | None]:
    """Return the Hessian, the factor of its loss, and where images are drawn anew, how."""
    choice = choose_images(
        data,
        request.split,
        classes,
        terms.weights,
        per_class=request.images_per_class,
        seed=request.solver.seed,
    )
    subset = data.split(request.split).subset(choice.index)
    dtype, views = DTYPES[request.dtype], protocol.views
    generator = make_generator(request.solver.seed, "augmentation", request.split, label)
    op = HessianOperator(
        model,
        normalisation(protocol.apply(subset.images, generator), dtype),
        subset.labels.repeat_interleave(views),
        loss=terms.loss,
        weights=choice.weights.repeat_interleave(views),
        dtype=dtype,
        device=request.device,
        micro_chunk=request.micro_chunk,
        memory_budget=0,
        check=check,
    )
    draw = None
    if protocol.kind == FRESH:
        draw = protocol.fresh(subset.images, lambda x: normalisation(x, dtype), generator)
    return op, choice.share if request.reduction == "global" else 1.0, draw


def image_protocol(request: AnalysisRequest, checkpoint: Checkpoint) -> ImageProtocol:
    """Return the choice of images, with the crops and flips that the checkpoint was trained with.

    Raises:
        InputError: it reads wrong, or the recipe has no augmentation to draw from.
    """
    recipe = checkpoint.recipe
    if recipe is None:  # the published code's, and most strangers'
        return ImageProtocol.parse(request.images)
    return ImageProtocol.parse(request.images, crop=recipe.augment_crop, flip=recipe.augment_flip)


def _step_callback(on_progress: Progress | None, label: str) -> StepCallback | None:
    if on_progress is None:
        return None
    return lambda done, planned: on_progress(label, done, planned)


def _within_memory(op: HessianOperator, request: AnalysisRequest) -> SolverSettings:
    """Give the operator what memory is left for kept work; return settings that fit the rest."""
    limit = request.memory
    if limit is None:
        limit = resident_bytes(op.device) + available_bytes(op.device) // 2
    solver = request.solver
    plan = forecast(
        op, num_vectors=max(solver.num_steps, solver.max_steps), limit=limit, basis=solver.basis
    )
    logger.info("memory: %s", plan.describe())
    op.memory_budget = plan.kept
    return replace(solver, max_basis=plan.max_basis)


def _accuracy(tests: ClassMetrics | None, classes: tuple[int, ...]) -> float | None:
    return tests.group_accuracy(classes) if tests else None


def _normalisation(
    request: AnalysisRequest, checkpoint: Checkpoint, data: ImageData
) -> Normalisation:
    if request.normalisation is None:
        return checkpoint.normalisation or data.normalisation
    images, scale = data.train.images, data.normalisation.scale
    if request.normalisation == "data":
        return from_images(images, scale)
    return parse_normalisation(request.normalisation, channels=images.shape[1], scale=scale)


def _radius(checkpoint: Checkpoint) -> float:
    recipe = checkpoint.recipe
    if recipe is None or recipe.optimizer != "sam":
        return RADIUS
    return ascent_radius(recipe, max(0, (checkpoint.epoch or recipe.epochs) - 1))


def _identity(checkpoint: Checkpoint, data: ImageData, counts: tuple[int, ...]) -> dict[str, Any]:
    recipe = checkpoint.recipe
    return {
        "name": checkpoint.name,
        "epoch": checkpoint.epoch,
        "recipe": recipe.name if recipe else None,
        "recipe_fields": recipe.to_dict() if recipe else None,
        "seed": checkpoint.seed,
        "architecture": checkpoint.architecture.to_dict(),
        "class_counts": list(counts),
        "digest": checkpoint.digest(),
        "data": {**data.description, "digest": data.digest()},
        "notes": list(checkpoint.notes),
    }


def _protocol(
    request: AnalysisRequest, normalisation: Normalisation, radius: float
) -> dict[str, Any]:
    return {
        "images": request.images,
        "split": request.split,
        "loss": request.loss,
        "reduction": request.reduction,
        "images_per_class": request.images_per_class,
        "groups": request.groups,
        "normalisation": normalisation.to_dict(),
        "dtype": request.dtype,
        "device": torch.device(request.device).type,
        "micro_chunk": request.micro_chunk,
        "radius": radius,
        "tau": request.tau,
        "solver": request.solver.to_dict(),
    }


def _unit_path(units: Path, label: str) -> Path:
    return units / f"{label}.json"


def _finished(header: Analysis, units: Path | None, label: str) -> LossAnalysis | None:
    """Return a loss's kept result if it was computed from the same inputs by the same choices."""
    if units is None or not _unit_path(units, label).exists():
        return None
    try:
        kept = load_analysis(_unit_path(units, label))
    except InputError:
        return None
    same = (
        kept.checkpoint == header.checkpoint
        and kept.protocol == header.protocol
        and kept.versions == header.versions
    )
    return kept.records[0] if same and kept.records else None
