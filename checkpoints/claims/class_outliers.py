"""Sagun et al. 2017 and Papyan 2020: bulk and outliers, and which classes make them."""

import torch
from torch import Tensor

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.directions.class_directions import measured_at
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.claims.losses_of import check_fixed, ends_of, fixed_losses
from checkpoints.data import ImageData
from checkpoints.training.threads import suitable_threads
from spectra import Extremes, HessianOperator, cross_class_means, resolve, slq
from spectra.findings.claims.outliers import outliers, resolved_above
from spectra.results.claims.class_outliers_result import (
    ClassOutliersResult,
    LossOutliers,
    OutliersProtocol,
    TopVector,
)
from spectra.system.progress import Progress, within


def measure_class_outliers(
    checkpoint: Checkpoint,
    data: ImageData,
    request: AnalysisRequest,
    *,
    on_progress: Progress | None = None,
) -> ClassOutliersResult:
    """Find the outliers of the overall Hessian, what spans them, and those of classes.

    Cost: for each loss a density and 2 C eigenpairs from either end; for the whole C gradients
    and the curvature of each image along 2 C vectors.

    Args:
        checkpoint: weights.
        data: images.
        request: classes whose own outliers are looked at, split, loss, images, density, seed.
        on_progress: called with (what is running, done, planned).

    Raises:
        InputError: the request does not fit, the loss is no cross-entropy, or there are more than
            16 classes.
    """
    check_fixed(request)
    losses = Losses.of(checkpoint, data, request)
    classes, solver = data.num_classes, request.solver
    with suitable_threads(data):
        whole = losses.prepare("overall", tuple(range(classes)), check=True).op
        means = cross_class_means(whole)
        ends = _ends(whole, classes, request, on_progress)
        overall = _loss_outliers("overall", whole, ends, request)
        vectors = torch.stack([pair.vector for pair in ends.highest])
        spans = means.captured_by_classes(vectors), means.captured(vectors)
        shares = _shares(whole, vectors)
        whole.forget()
        found = []
        for label, op in fixed_losses(checkpoint, losses):
            if label != "overall":
                own = _ends(op, classes, request, on_progress)
                found.append(_loss_outliers(label, op, own, request))
    top = tuple(
        TopVector(pair.value, float(by_c), float(by_all), share)
        for pair, by_c, by_all, share in zip(ends.highest, *spans, shares, strict=True)
    )
    protocol = OutliersProtocol(
        images=request.images,
        split=request.split,
        loss=request.loss,
        images_per_class=request.images_per_class,
        num_classes=classes,
        num_probes=solver.num_probes,
        num_steps=solver.num_steps,
        seed=solver.seed,
    )
    return ClassOutliersResult(
        checkpoint=measured_at(checkpoint),
        protocol=protocol,
        overall=overall,
        between_classes=tuple(means.between_classes().tolist()),
        between=tuple(means.between()[: 2 * classes].tolist()),
        top=top,
        by_chance=min(1.0, means.vectors.shape[0] * means.vectors.shape[1] / whole.size),
        classes=tuple(found),
    )


def _ends(
    op: HessianOperator, classes: int, request: AnalysisRequest, on_progress: Progress | None
) -> Extremes:
    """Return 2 C eigenpairs from either end: a gap after C is seen with as many beyond it."""
    told = within(on_progress, f"{op.label}: eigenvectors")
    return ends_of(op, min(2 * classes, op.size), request.solver, told)


def _loss_outliers(
    label: str, op: HessianOperator, ends: Extremes, request: AnalysisRequest
) -> LossOutliers:
    solver = request.solver
    density = slq(
        op, num_probes=solver.num_probes, num_steps=solver.num_steps, seed=solver.seed,
    )  # fmt: skip
    return LossOutliers(
        label=label,
        n=op.num_images,
        loss=op.loss(),
        outliers=outliers(sorted((pair.value for pair in ends.highest), reverse=True)),
        resolved=resolved_above(resolve(density)),
        converged=all(pair.converged for pair in ends.highest),
    )


def _shares(op: HessianOperator, vectors: Tensor) -> list[dict[str, float]]:
    """Return which part of vᵀHv the images of each class give, for each vector."""
    each = op.curvatures(vectors) * op.weights.double()
    found = []
    for row in each:
        whole = float(row.sum())
        found.append(
            {
                str(label): float(row[op.labels == label].sum()) / whole
                for label in sorted(set(op.labels.tolist()))
            }
        )
    return found
