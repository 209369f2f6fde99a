"""The losses of a checkpoint that a claim is tested on, and the ends of their Hessians."""

from collections.abc import Iterator

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.named_classes import chosen_losses
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.data.views import FRESH, ImageProtocol
from spectra import Extremes, HessianOperator, InputError, SolverSettings, extreme_eigenpairs
from spectra.krylov.defaults import TOLERANCE
from spectra.system.progress import Progress


def check_fixed(request: AnalysisRequest) -> None:
    """Raise InputError where a request asks for something that is no Hessian of fixed images."""
    if request.gauss_newton or ImageProtocol.parse(request.images).kind == FRESH:
        raise InputError(
            "this is of the Hessian of fixed images; leave out --gauss-newton, and take --images "
            "plain or frozen:K"
        )


def fixed_losses(checkpoint: Checkpoint, losses: Losses) -> Iterator[tuple[str, HessianOperator]]:
    """Yield the label of each loss that a request names, and its Hessian.

    Raises:
        InputError: it asks for something that is no Hessian of fixed images.
    """
    check_fixed(losses.request)
    chosen = chosen_losses(losses.request, checkpoint, losses.data)
    for k, (label, classes) in enumerate(chosen.items()):
        op = losses.prepare(label, classes, check=k == 0).op
        yield label, op
        op.forget()


def ends_of(
    op: HessianOperator, pairs: int, solver: SolverSettings, on_progress: Progress | None
) -> Extremes:
    """Return ``pairs`` eigenpairs from either end of a loss's Hessian."""
    return extreme_eigenpairs(
        op,
        pairs,
        tol=solver.tol or TOLERANCE,
        floor=solver.floor,
        max_steps=solver.max_steps,
        seed=solver.seed,
        on_progress=on_progress,
    )
