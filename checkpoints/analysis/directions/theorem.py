"""SAM against its theorem at a checkpoint, and whether what helps one class hurts another."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.directions.class_directions import (
    Direction,
    batches_along,
    directions_of,
    draw_batches,
    effects_of,
    images_of_batch,
    measured_at,
    protocol_of,
)
from checkpoints.analysis.request import TheoremRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData
from checkpoints.training.threads import suitable_threads
from spectra import HessianOperator
from spectra.findings.sharpness import class_factors, gauss_newton_form
from spectra.landscape.line import loss_line
from spectra.results.directions.theorem_result import DirectionReport, TheoremResult
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
    losses = Losses.of(checkpoint, data, request.analysis)

    def progress(text: str, done: int, classes: int) -> None:
        if on_progress:
            on_progress(text, done, 3 * classes)

    with suitable_threads(data):
        directions = directions_of(
            checkpoint,
            losses,
            request,
            lambda label, k, n: progress(f"class {label}: eigenvectors", k, n),
        )
        n = len(directions)
        whole = losses.prepare("overall", tuple(range(data.num_classes)), check=False).op
        batches = draw_batches(whole, request)
        vectors = torch.stack([one.vector for one in directions])
        forms = {}
        for k, one in enumerate(directions):
            progress(f"class {one.label}: curvature along the others' vectors", n + k, n)
            products = one.op.matmat(vectors.to(one.op.dtype)).double()
            one.op.forget()
            forms[one.label] = (products * vectors).sum(1)
        reports = []
        for k, one in enumerate(directions):
            progress(f"class {one.label}: SAM", 2 * n + k, n)
            cross = {label: float(values[k]) for label, values in forms.items()}
            reports.append(_report(one, directions, whole, batches, cross, request))
    return TheoremResult(measured_at(checkpoint), protocol_of(request), tuple(reports))


def _report(
    one: Direction,
    directions: Sequence[Direction],
    whole: HessianOperator,
    batches: Sequence[Tensor],
    cross: Mapping[str, float],
    request: TheoremRequest,
) -> DirectionReport:
    op, pair, vector = one.op, one.found.smallest, one.vector
    gradient = op.gradient()
    norm = float(gradient.norm())
    along, squares = batches_along(one, whole, batches, request)
    reach = 2 * max(request.rhos)
    steps = [reach * k / _LINE_HALF for k in range(-_LINE_HALF, _LINE_HALF + 1)]
    line = loss_line([each.op for each in directions], vector, steps)
    newton = gauss_newton_form(op, vector)
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
        batches=squares,
        correlated_noise=None if along is None else along.correlated_noise,
        line={
            each.label: tuple(losses_at.tolist())
            for each, losses_at in zip(directions, line, strict=True)
        },
        line_steps=tuple(steps),
        cross=cross,
        overlaps={each.label: abs(float(vector @ each.vector)) for each in directions},
        effects=effects_of(
            one,
            along,
            squares,
            request,
            batch_size=images_of_batch(whole, request),
            gradient=gradient,
        ),
    )
