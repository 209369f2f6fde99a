"""Analyze a checkpoint: the spectra of its per-class, group and overall losses."""

import contextlib
import functools
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import torch

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.data_of import data_for, finished, notes_of
from checkpoints.analysis.kept_losses import KeptLoss, KeptLosses, inputs_digest
from checkpoints.analysis.named_classes import chosen_losses, class_groups
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.analysis.shared_out.sharing import Sharing
from checkpoints.analysis.vectors import analyzed_parameters, save_vectors, vectors_path
from checkpoints.analysis.warm import WarmStarts
from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import OBJECTIVE
from checkpoints.data import ImageData, Normalisation
from checkpoints.load import load_checkpoint
from checkpoints.models import Architecture
from checkpoints.recipes.schedules import ascent_radius
from checkpoints.training.evaluation import ClassMetrics, evaluate
from checkpoints.training.threads import suitable_threads
from spectra import Analysis, CrossEntropy, LossAnalysis
from spectra.classes.each_loss import Prepare, analyze_each, those_with_images
from spectra.classes.identity import library_versions
from spectra.classes.many.those_with_numbers import ThoseWithNumbers
from spectra.findings.verdict import RADIUS
from spectra.objective.samples.forward import fit_network, part_of
from spectra.results.provenance import (
    GAUSS_NEWTON,
    HESSIAN,
    AnalysisProtocol,
    CheckpointIdentity,
)
from spectra.system.files.lock import locked
from spectra.system.files.reading import file_digest
from spectra.system.progress import Progress


def analyze(
    checkpoint: Checkpoint | str,
    data: ImageData | str | None = None,
    request: AnalysisRequest | None = None,
    *,
    units: Path | None = None,
    vectors: Path | None = None,
    warm: WarmStarts | None = None,
    sharing: Sharing | None = None,
    on_progress: Progress | None = None,
) -> Analysis:
    """Analyze the chosen losses of one checkpoint, as ``spectra analyze`` does.

    Args:
        checkpoint: weights, or where they lie, see :func:`checkpoints.load_checkpoint`.
        data: images, or their source, see :func:`checkpoints.analysis.data_of.data_for`; None:
            what the checkpoint says it was trained on.
        request: what to compute; None: the spectrum of every class.
        units: folder in which each loss's result is kept as soon as it is there, and from which a
            repeated call of the same code takes what an interrupted one had finished.
        vectors: folder for the eigenvectors of each loss, see
            :func:`checkpoints.analysis.vectors.save_vectors`; None: they are not kept.
        warm: eigenvectors of the checkpoint before, and where to keep this one's.
        sharing: what the ranks of a job share out; each returns what it has found itself. See
            :func:`checkpoints.analysis.shared_out.sharing.shared_out`. None: one process does all.
        on_progress: called with (``class 8`` say, steps done, steps planned).

    Raises:
        InputError: the request does not fit checkpoint or data, or another process writes to the
            same folders.
        NonFiniteError: a product held NaN or infinity; its ``found`` has the other losses.

    Example:
        >>> from checkpoints import AnalysisRequest, analyze
        >>> from spectra import SolverSettings
        >>> solver = SolverSettings(num_probes=1, num_steps=4, max_steps=4)
        >>> request = AnalysisRequest(classes="9", solver=solver)
        >>> found = analyze("bundled:digits/ce-drw", request=request)
        >>> found.record("9").n
        6
    """
    if isinstance(checkpoint, str):
        checkpoint = load_checkpoint(checkpoint)
    if not isinstance(data, ImageData):
        data, _ = data_for(checkpoint, data)
    with contextlib.ExitStack() as around:
        around.enter_context(suitable_threads(data))
        for folder in (units, vectors):
            if folder is not None:
                around.enter_context(locked(folder))
        request = request or AnalysisRequest()
        return _analyze(checkpoint, data, request, units, vectors, warm, sharing, on_progress)


def _analyze(
    checkpoint: Checkpoint,
    data: ImageData,
    request: AnalysisRequest,
    units: Path | None,
    vectors: Path | None,
    warm: WarmStarts | None,
    sharing: Sharing | None,
    on_progress: Progress | None,
) -> Analysis:
    counts = checkpoint.class_counts or data.class_counts
    chosen = chosen_losses(request, checkpoint, data)
    if request.loss == OBJECTIVE:
        chosen = {OBJECTIVE: chosen["overall"]}
    losses = Losses.of(checkpoint, data, request)
    normalisation = losses.normalisation
    radius = request.radius if request.radius is not None else _radius(checkpoint)
    header = Analysis(
        checkpoint=replace(
            _identity(checkpoint, data, counts, warm),
            notes=notes_of(checkpoint, data, request.normalisation),
        ),
        protocol=_protocol(request, losses, radius, recorded=_recorded(checkpoint, data)),
        records=(),
        versions=library_versions(),
    )
    if sharing is not None:
        sharing.check_same(header.checkpoint, data.test_digest(), header.versions)
    finished: dict[str, LossAnalysis] = {}
    keeping = None
    if units is not None:
        keeping = KeptLosses(units, header, inputs_digest(checkpoint, data))

    def take_kept(labels: Collection[str]) -> None:
        if keeping is None:
            return
        for label, kept in keeping.load(labels, warm.given if warm else {}).items():
            # What was kept of a loss holds no vectors, but says which file does.
            there = vectors is None or kept.has_written(vectors_path(vectors, label))
            if there and not (warm and label in warm.again):
                finished[label] = kept.record
                if warm is not None:
                    warm.left[label] = kept.warm_left

    @functools.cache
    def tests() -> ClassMetrics | None:
        return test_accuracy(checkpoint, data, normalisation, device=request.device)

    def begins(label: str) -> bool:
        """Say whether this rank is to analyze a loss, now that its turn has come."""
        if sharing is None or not sharing.takes(label):
            return sharing is None
        take_kept([label])
        if sharing.agreed(label in finished):
            return False
        if warm is not None:
            warm.prepare([label])
        tests()
        return True

    if sharing is None:
        take_kept(chosen)
    if vectors is not None:
        parameters = analyzed_parameters(losses.model, request)
    todo = {label: classes for label, classes in chosen.items() if label not in finished}
    if "all" in request.classes:
        split_counts = data.split(request.split).counts(data.num_classes)
        todo = those_with_images(todo, split_counts, split=request.split)
    prepare: Prepare = losses.prepare
    if sharing is not None:
        todo = sharing.in_turn(todo, data.split(request.split).counts(data.num_classes))
        prepare = sharing.preparing(prepare)
    else:
        if warm is not None:
            warm.prepare(todo)
        if todo:
            tests()
    keeps = sharing is None or sharing.keeps
    results = analyze_each(
        todo,
        prepare,
        settings=request.solver,
        memory=request.memory,
        radius=radius,
        tau=request.tau,
        warm=warm,
        among=len(chosen),
        takes=begins,
        on_progress=on_progress,
    )
    for found in (with_numbers := ThoseWithNumbers(results)):
        label = found.label
        written = None
        if vectors is not None and found.extremes is not None and keeps:
            written = file_digest(save_vectors(vectors, label, found.extremes, parameters))
        if warm is not None and found.extremes is not None:
            if keeps:
                warm.save(label, found.extremes)
            if sharing is not None:
                warm.left[label] = sharing.agreed(warm.left.get(label))
        # Without its vectors: a class's basis is not to stay while the next one runs.
        record = replace(found, accuracy=_accuracy(tests(), chosen[label]), extremes=None)
        del found
        if keeping is not None and keeps:
            before, left = (warm.given.get(label), warm.left.get(label)) if warm else (None, None)
            keeping.keep(KeptLoss(record, before, left, written))
        finished[label] = record
    # Which classes were drawn says nothing of one class, so that a kept one serves any sample.
    groups = class_groups(request, checkpoint, data)
    records = tuple(finished[label] for label in chosen if label in finished)
    protocol = replace(header.protocol, class_groups=groups)
    return with_numbers.all_or_raise(replace(header, protocol=protocol, records=records))


def test_accuracy(
    checkpoint: Checkpoint, data: ImageData, normalisation: Normalisation, *, device: str
) -> ClassMetrics | None:
    """Return per-class accuracy on the test images; None where there are none.

    Without test images, what the checkpoint recorded when it was trained is taken, where the
    training images are those it was trained on.
    """
    if data.test is None:
        return _recorded(checkpoint, data)
    inputs = finished(data.test, normalisation, torch.float32, device)
    fitted = fit_network(checkpoint.model().to(device), inputs)
    return evaluate(
        fitted.network,
        part_of(inputs, fitted.names),
        data.test.labels.to(device),
        num_classes=data.num_classes,
        loss=CrossEntropy(),
    )


def _recorded(checkpoint: Checkpoint, data: ImageData) -> ClassMetrics | None:
    """Return what the checkpoint recorded, where there are no test images and the data are its."""
    found = checkpoint.metrics.get("test")
    if data.test is not None or not found or checkpoint.data is None:
        return None
    if checkpoint.data.get("digest") != data.digest():
        return None
    return ClassMetrics(tuple(found["accuracy"]), tuple(found["loss"]), found["overall"])


def _accuracy(tests: ClassMetrics | None, classes: tuple[int, ...]) -> float | None:
    return tests.group_accuracy(classes) if tests else None


def _radius(checkpoint: Checkpoint) -> float:
    recipe = checkpoint.recipe
    if recipe is None or recipe.optimizer != "sam":
        return RADIUS
    return ascent_radius(recipe, max(0, (checkpoint.epoch or recipe.epochs) - 1))


def _identity(
    checkpoint: Checkpoint, data: ImageData, counts: tuple[int, ...], warm: WarmStarts | None
) -> CheckpointIdentity:
    known = replace(
        checkpoint.trained(),
        architecture=_architecture(checkpoint, data).to_dict(),
        class_counts=counts,
        data={**data.description, "digest": data.digest()},
    )
    return replace(known, warm_from=warm.before) if warm else known


def _architecture(checkpoint: Checkpoint, data: ImageData) -> Architecture:
    """Return the architecture, with as many outputs as were measured of a user's own network."""
    if checkpoint.factory is None:
        return checkpoint.architecture
    return replace(checkpoint.architecture, num_classes=data.num_classes)


def _protocol(
    request: AnalysisRequest,
    losses: Losses,
    radius: float,
    *,
    recorded: ClassMetrics | None,
) -> AnalysisProtocol:
    return AnalysisProtocol(
        images=request.images,
        split=request.split,
        loss=request.loss,
        weight_decay=losses.terms.weight_decay,
        reduction=request.reduction,
        images_per_class=request.images_per_class,
        groups=request.groups,
        normalisation=losses.normalisation.to_dict(),
        dtype=request.dtype,
        device=torch.device(request.device).type,
        parameters=tuple(request.parameters),
        matrix=GAUSS_NEWTON if request.gauss_newton else HESSIAN,
        micro_chunk=request.micro_chunk,
        tuning=request.tuning,
        radius=radius,
        tau=request.tau,
        solver=request.solver,
        accuracy="as recorded" if recorded else None,
    )
