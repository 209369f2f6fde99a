"""Alain, Le Roux & Manzagol 2019: is the best step along an eigenvector what its λ says?"""

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.directions.class_directions import measured_at
from checkpoints.analysis.named_classes import chosen_losses
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import CLAIM_PAIRS
from checkpoints.claims.losses_of import ends_of, fixed_losses
from checkpoints.data import ImageData
from checkpoints.training.threads import suitable_threads
from spectra import best_steps
from spectra.errors import check_count
from spectra.findings.claims.best_steps import parameter_length
from spectra.results.claims.best_steps_result import (
    BestStepsProtocol,
    BestStepsResult,
    StepsOfLoss,
)
from spectra.system.progress import Progress, within


def measure_best_steps(
    checkpoint: Checkpoint,
    data: ImageData,
    request: AnalysisRequest,
    *,
    pairs: int = CLAIM_PAIRS,
    on_progress: Progress | None = None,
) -> BestStepsResult:
    """Find the lowest loss along the eigenvectors at both ends of each class's Hessian.

    Cost: for each loss, 80 to ``request.solver.max_steps`` products and some 30 losses in float64
    for each of its 2 · ``pairs`` eigenvectors.

    Args:
        checkpoint: weights.
        data: images.
        request: classes, split, loss, images, seed.
        pairs: eigenpairs from either end.
        on_progress: called with (what is running, done, planned).

    Raises:
        InputError: the request does not fit.

    Example:
        >>> from checkpoints import AnalysisRequest, load_checkpoint, load_data, measure_best_steps
        >>> checkpoint, request = load_checkpoint("bundled:digits/ce-drw"), AnalysisRequest("8")
        >>> found = measure_best_steps(checkpoint, load_data(), request, pairs=2)
        >>> [step.value > 0 for step in found.losses[0].steps]
        [False, False, True, True]
    """
    check_count("pairs", pairs)
    losses, solver = Losses.of(checkpoint, data, request), request.solver
    found = []
    with suitable_threads(data):
        planned = len(chosen_losses(request, checkpoint, data))
        for k, (label, op) in enumerate(fixed_losses(checkpoint, losses), 1):
            name = f"class {label}" if label.isdigit() else label
            told = within(on_progress, name, part=k, of=planned)
            ends = ends_of(op, pairs, solver, within(told, "eigenvectors"))
            exact = op.in_float64()
            gradient = exact.gradient()
            steps = best_steps(exact, ends.pairs, gradient=gradient, on_progress=told)
            found.append(
                StepsOfLoss(
                    label=label,
                    n=op.num_images,
                    loss=exact.loss(),
                    grad_norm=float(gradient.norm()),
                    reach=parameter_length(op),
                    converged=ends.converged,
                    steps=steps,
                )
            )
    protocol = BestStepsProtocol(
        images=request.images,
        split=request.split,
        loss=request.loss,
        images_per_class=request.images_per_class,
        pairs=pairs,
        seed=solver.seed,
    )
    return BestStepsResult(measured_at(checkpoint), protocol, tuple(found))
