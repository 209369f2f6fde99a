"""Whether SAM strengthens or weakens each class's step along its negative curvature."""

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
from spectra.findings.sam.sam_effect import SamEffect
from spectra.results.directions.sam_result import SamResult
from spectra.system.progress import Progress


def measure_sam(
    checkpoint: Checkpoint,
    data: ImageData,
    request: TheoremRequest,
    *,
    on_progress: Progress | None = None,
) -> SamResult:
    """Measure what SAM does to the step along v_min of each class: the short way of the theorem.

    Networks are in eval mode throughout: SAM in training sees batch statistics.

    Cost: for each class its extremes and a gradient for each ρ; for each mini-batch a gradient, a
    product, and a gradient for each ρ.

    Args:
        checkpoint: weights.
        data: images.
        request: classes, radii, batches.
        on_progress: called with (what is running, done, planned).

    Raises:
        InputError: the request does not fit.

    Example:
        >>> from checkpoints import AnalysisRequest, TheoremRequest, load_checkpoint, load_data
        >>> from checkpoints import measure_sam
        >>> request = TheoremRequest(AnalysisRequest(classes="5"), rhos=(0.5,), num_batches=4)
        >>> found = measure_sam(load_checkpoint("bundled:digits/ce-drw"), load_data(), request)
        >>> found.effects[0].name
        'strengthens'
    """
    losses = Losses.of(checkpoint, data, request.analysis)

    def progress(text: str, done: int, planned: int) -> None:
        if on_progress:
            on_progress(text, done, planned)

    found: list[SamEffect] = []
    with suitable_threads(data):
        directions = directions_of(
            checkpoint,
            losses,
            request,
            lambda label, k, n: progress(f"class {label}: v_min", k, 2 * n),
        )
        whole = losses.prepare("overall", tuple(range(data.num_classes)), check=False).op
        for k, one in enumerate(directions):
            n = len(directions)
            progress(f"class {one.label}: SAM", n + k, 2 * n)
            found += _effects(one, whole, request)
    return SamResult(measured_at(checkpoint), protocol_of(request), tuple(found))


def _effects(
    one: Direction, whole: HessianOperator, request: TheoremRequest
) -> tuple[SamEffect, ...]:
    along, squares = batches_along(one, whole, draw_batches(whole, request), request)
    return effects_of(one, along, squares, request, batch_size=images_of_batch(whole, request))
