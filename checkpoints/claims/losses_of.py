"""The losses of a checkpoint that a claim is tested on, one after the other."""

from collections.abc import Iterator

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.named_classes import parse_selection
from checkpoints.checkpoint import Checkpoint
from checkpoints.data.views import FRESH, ImageProtocol
from spectra import HessianOperator, InputError


def fixed_losses(
    checkpoint: Checkpoint, losses: Losses
) -> Iterator[tuple[str, int, int, HessianOperator]]:
    """Yield the label, place and number of each loss that a request names, and its Hessian.

    Raises:
        InputError: it asks for something that is no Hessian of fixed images.
    """
    request = losses.request
    if request.gauss_newton or ImageProtocol.parse(request.images).kind == FRESH:
        raise InputError(
            "this is of the Hessian of fixed images; leave out --gauss-newton, and take --images "
            "plain or frozen:K"
        )
    counts = checkpoint.class_counts or losses.data.class_counts
    chosen = parse_selection(
        request.classes, request.groups_of(counts), num_classes=losses.data.num_classes
    )
    for k, (label, classes) in enumerate(chosen.items()):
        op = losses.prepare(label, classes, check=k == 0).op
        yield label, k, len(chosen), op
        op.forget()
