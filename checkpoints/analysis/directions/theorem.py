"""SAM against its theorem at a checkpoint, and whether what helps one class hurts another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.named_classes import parse_selection
from checkpoints.analysis.request import TheoremRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData
from checkpoints.training.threads import suitable_threads
from spectra import Extremes, HessianOperator, extremes_by_active_images, make_generator
from spectra.findings.sharpness import (
    amplifications,
    batch_projections,
    class_factors,
    gauss_newton_form,
)
from spectra.landscape.line import loss_line
from spectra.results.directions.theorem_result import (
    DirectionReport,
    MeasuredAt,
    TheoremProtocol,
    TheoremResult,
)
from spectra.system.progress import Progress

_LINE_HALF = 10  # points on either side of w


def measure_theorem(
    checkpoint: Checkpoint,
    data: ImageData,
    request: TheoremRequest,
    *,
    on_progress: Progress | None = None,
) -> TheoremResult:
    """Measure what SAM does along each class's v_min, and what v_min is to the other classes.

    Networks are in eval mode throughout: SAM in training sees batch statistics.

    Args:
        checkpoint: weights.
        data: images.
        request: what to measure.
        on_progress: called with (what is running, done, planned).

    Raises:
        InputError: the request does not fit.
    """
    analysis, seed = request.analysis, request.analysis.solver.seed
    losses = Losses.of(checkpoint, data, analysis)
    counts = checkpoint.class_counts or data.class_counts
    chosen = parse_selection(
        analysis.classes, analysis.groups_of(counts), num_classes=data.num_classes
    )

    def progress(text: str, done: int) -> None:
        if on_progress:
            on_progress(text, done, 3 * len(chosen))

    with suitable_threads(data):
        directions = []
        for k, (label, classes) in enumerate(chosen.items()):
            progress(f"class {label}: eigenvectors", k)
            op = losses.prepare(label, classes, check=k == 0).op
            directions.append(_direction(label, op, request))
        whole = losses.prepare("overall", tuple(range(data.num_classes)), check=False).op
        batches = _batches(whole, request)
        vectors = torch.stack([one.vector for one in directions])
        forms = {}
        for k, one in enumerate(directions):
            progress(f"class {one.label}: curvature along the others' vectors", len(chosen) + k)
            products = one.op.matmat(vectors.to(one.op.dtype)).double()
            one.op.forget()
            forms[one.label] = (products * vectors).sum(1)
        reports = []
        for k, one in enumerate(directions):
            progress(f"class {one.label}: SAM", 2 * len(chosen) + k)
            cross = {label: float(values[k]) for label, values in forms.items()}
            reports.append(_report(one, directions, whole, batches, cross, request))
    return TheoremResult(
        MeasuredAt(checkpoint.name, checkpoint.epoch),
        TheoremProtocol(
            images=analysis.images,
            split=analysis.split,
            loss=analysis.loss,
            images_per_class=analysis.images_per_class,
            num_batches=request.num_batches,
            batch_size=request.batch_size,
            seed=seed,
        ),
        tuple(reports),
    )


@dataclass(frozen=True)
class _Direction:
    """A class's Hessian and its direction of least curvature."""

    label: str
    op: HessianOperator
    found: Extremes

    @property
    def vector(self) -> Tensor:
        return self.found.smallest.vector


def _direction(label: str, op: HessianOperator, request: TheoremRequest) -> _Direction:
    solver = request.analysis.solver
    generator = make_generator(solver.seed, "extremes", label)
    found = extremes_by_active_images(
        op, generator=generator, max_steps=solver.max_steps, proof=False
    )
    op.forget()
    return _Direction(label, op, found)


def _batches(whole: HessianOperator, request: TheoremRequest) -> list[Tensor]:
    """Return the positions of the images of each mini-batch, drawn without replacement."""
    generator = make_generator(request.analysis.solver.seed, "theorem batches")
    size = min(request.batch_size, whole.num_images)
    return [
        torch.randperm(whole.num_images, generator=generator)[:size].sort().values
        for _ in range(request.num_batches)
    ]


def _report(
    one: _Direction,
    directions: Sequence[_Direction],
    whole: HessianOperator,
    batches: Sequence[Tensor],
    cross: Mapping[str, float],
    request: TheoremRequest,
) -> DirectionReport:
    op, pair, vector = one.op, one.found.smallest, one.vector
    gradient = op.gradient()
    norm = float(gradient.norm())
    along = batch_projections(whole, vector, batches, request.rhos)
    reach = 2 * max(request.rhos)
    steps = [reach * k / _LINE_HALF for k in range(-_LINE_HALF, _LINE_HALF + 1)]
    line = loss_line([each.op for each in directions], vector, steps)
    newton = gauss_newton_form(op, vector)
    generator = make_generator(request.analysis.solver.seed, "batch bootstrap", one.label)
    return DirectionReport(
        label=one.label,
        n=op.num_images,
        loss=op.loss(),
        lambda_min=pair.value,
        lambda_max=one.found.largest.value,
        residual=pair.residual_norm,
        grad_norm=norm,
        grad_along=float(gradient @ vector),
        critical_rho=2 * norm / abs(pair.value) if pair.value < 0 else None,
        gauss_newton=newton,
        rest=cross[one.label] - newton,
        class_factors=tuple(class_factors(op, vector, pair.value, request.rhos, gradient=gradient)),
        batches=tuple(amplifications(along, pair.value, generator=generator)),
        correlated_noise=along.correlated_noise,
        line={
            each.label: tuple(losses_at.tolist())
            for each, losses_at in zip(directions, line, strict=True)
        },
        line_steps=tuple(steps),
        cross=cross,
        overlaps={each.label: abs(float(vector @ each.vector)) for each in directions},
    )
