"""Does the operator's own copy compute what the caller's network computes?"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spectra.errors import OperatorError
from spectra.objective.frozen_loss import FrozenLoss
from spectra.objective.samples.forward import WithForward
from spectra.objective.samples.input_tree import in_dtype
from spectra.objective.samples.trees import map_leaves

# Ours: of the largest output. Networks compute in their own precision here, the copy in that of
# the products: rounding of float32 is far below it, what another function computes far above.
ALLOWED = 1e-3
# bfloat16 has 8 bits, which some dozen layers lose half of.
ALLOWED_IN_HALF = 0.25


def check_as_given(op: FrozenLoss, given: nn.Module) -> None:
    """Check that the copy gives the outputs of the caller's network, on the first two images.

    A copy computes something else where a hook, a lambda or a weak reference holds the original
    network and carries a value of the pass, or where the network asks for the precision it is in.
    A network that fails as it is, or draws random numbers, is left to the other checks.

    Cost: a forward pass of the caller's network on two images.

    Args:
        op: whose network is the copy.
        given: the caller's; its mode and the random state stay.

    Raises:
        OperatorError: the outputs differ.
    """
    place = next(given.parameters(), None)
    if place is None or not place.is_floating_point() or place.is_meta:
        return
    batch = op.images[:2]
    theirs = map_leaves(lambda x: x.to(place.device, copy=True), in_dtype(batch, place.dtype))
    cards = [place.device] if place.device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=cards):
        # Before the caller's, which may leave something of its pass where the copy finds it.
        found, again = op.model(batch), op.model(batch)
        try:
            with _in_eval_mode(given):
                wanted = _called_alike(op.model, given)(theirs)
        except Exception:  # whatever a stranger's forward pass raises
            return
    if not (isinstance(wanted, Tensor) and wanted.shape == found.shape):
        return
    wanted = wanted.to(found.device, found.dtype)
    half = torch.finfo(place.dtype).bits < torch.finfo(torch.float32).bits
    allowed = (ALLOWED_IN_HALF if half else ALLOWED) * float(wanted.abs().max())
    apart = float((found - wanted).abs().max())
    if float((found - again).abs().max()) <= allowed < apart:
        raise OperatorError(
            f"the operator's copy of the network computes other outputs than the network, by "
            f"{apart:.2g}: a hook, a lambda or a weak reference holds the original network and "
            "carries a value of the pass, or the network asks for its precision; use methods of "
            "the network in their place"
        )


def _called_alike(own: nn.Module, given: nn.Module) -> Any:
    """Return ``given`` with the call and the choice of outputs that the copy ``own`` has."""
    if not isinstance(own, WithForward):
        return given
    chosen = vars(own)
    if isinstance(given, WithForward) and not isinstance(chosen["model"], WithForward):
        return given
    return WithForward(
        given, chosen["function"], chosen["outputs"], never_alone=chosen["never_alone"]
    )


@contextmanager
def _in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Have every part of ``network`` in eval mode, without the calls that it hangs on a change."""
    modes = [(part, part.training) for part in network.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode
