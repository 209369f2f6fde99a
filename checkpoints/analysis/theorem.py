"""SAM against its theorem at a checkpoint, and whether what helps one class hurts another."""

import torch

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.request import TheoremRequest
from checkpoints.analysis.selection import parse_selection
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData
from spectra import HessianOperator, extremes_by_active_images, make_generator
from spectra.findings.sharpness import (
    amplifications,
    batch_projections,
    class_factors,
    gauss_newton_form,
    loss_line,
)
from spectra.results.theorem import DirectionReport, MeasuredAt, TheoremProtocol, TheoremResult
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
    analysis = request.analysis
    losses = Losses.of(checkpoint, data, analysis)
    counts = checkpoint.class_counts or data.class_counts
    chosen = parse_selection(
        analysis.classes, analysis.groups_of(counts), num_classes=data.num_classes
    )
    planned = 3 * len(chosen)

    def progress(text: str, done: int) -> None:
        if on_progress:
            on_progress(text, done, planned)

    ops: dict[str, HessianOperator] = {}
    found = {}
    for k, (label, classes) in enumerate(chosen.items()):
        progress(f"class {label}: eigenvectors", k)
        op = losses.prepare(label, classes, check=k == 0).op
        generator = make_generator(analysis.solver.seed, "extremes", label)
        found[label] = extremes_by_active_images(
            op, generator=generator, max_steps=analysis.solver.max_steps, proof=False
        )
        op.forget()
        ops[label] = op
    whole = losses.prepare("overall", tuple(range(data.num_classes)), check=False).op
    generator = make_generator(analysis.solver.seed, "theorem batches")
    size = min(request.batch_size, whole.num_images)
    batches = [
        torch.randperm(whole.num_images, generator=generator)[:size].sort().values
        for _ in range(request.num_batches)
    ]
    vectors = torch.stack([found[label].smallest.vector for label in chosen])
    forms = {}
    for k, (label, op) in enumerate(ops.items()):
        progress(f"class {label}: curvature along the others' vectors", len(chosen) + k)
        products = op.matmat(vectors.to(op.dtype)).double()
        op.forget()
        forms[label] = (products * vectors).sum(1)
    reports = []
    for k, (label, op) in enumerate(ops.items()):
        progress(f"class {label}: SAM", 2 * len(chosen) + k)
        pair = found[label].smallest
        vector, value = pair.vector, pair.value
        gradient = op.gradient()
        norm = float(gradient.norm())
        along = batch_projections(whole, vector, batches, request.rhos)
        reach = 2 * max(request.rhos)
        steps = [reach * k / _LINE_HALF for k in range(-_LINE_HALF, _LINE_HALF + 1)]
        line = loss_line(list(ops.values()), vector, steps)
        newton = gauss_newton_form(op, vector)
        reports.append(
            DirectionReport(
                label=label,
                n=op.num_images,
                loss=op.loss(),
                lambda_min=value,
                lambda_max=found[label].largest.value,
                residual=pair.residual_norm,
                grad_norm=norm,
                grad_along=float(gradient @ vector),
                critical_rho=2 * norm / abs(value) if value < 0 else None,
                gauss_newton=newton,
                rest=float(forms[label][k]) - newton,
                class_factors=tuple(
                    class_factors(op, vector, value, request.rhos, gradient=gradient)
                ),
                batches=tuple(
                    amplifications(
                        along,
                        value,
                        generator=make_generator(analysis.solver.seed, "batch bootstrap", label),
                    )
                ),
                correlated_noise=along.correlated_noise,
                line={c: tuple(losses_at.tolist()) for c, losses_at in zip(ops, line, strict=True)},
                line_steps=tuple(steps),
                cross={c: float(forms[c][k]) for c in ops},
                overlaps={c: abs(float(vector @ found[c].smallest.vector)) for c in ops},
            )
        )
    return TheoremResult(
        MeasuredAt(checkpoint.name, checkpoint.epoch),
        TheoremProtocol(
            images=analysis.images,
            split=analysis.split,
            loss=analysis.loss,
            images_per_class=analysis.images_per_class,
            num_batches=request.num_batches,
            batch_size=request.batch_size,
            seed=analysis.solver.seed,
        ),
        tuple(reports),
    )
