"""Is the gradient the derivative of the loss, and the product that of the gradient?"""

from __future__ import annotations

import contextlib
import logging

import torch
from torch import Tensor

from spectra.errors import OperatorError
from spectra.operators.checks.differences import Derivatives, derivatives
from spectra.operators.checks.evidence import STEPS, Evidence, gather_evidence
from spectra.operators.checks.forward_pass import (
    CastsLifted,
    KinkedInput,
    kinks_that_move,
    lower_precision,
)
from spectra.operators.chunked import ChunkedOperator
from spectra.system.seeding import make_generator

logger = logging.getLogger(__name__)

# Ours: what a parameter that nothing reaches is moved by, and by what share the loss may change:
# rounding in float64 is some 1e-15, and what a step of this size changes far more.
_DETACHED_STEP, _DETACHED_CHANGE = 1e-4, 1e-11
# Ours: how far from an exact kink the derivatives are checked in its place, in sizes of parameters.
_BESIDE, _LEAST_SIZE = 1e-3, 1e-2


def check_derivatives(op: ChunkedOperator) -> Derivatives | None:
    """Compare gradient and product with central differences, parameter by parameter.

    The direction has a part of about one length in every parameter. Where a difference and the
    product disagree, one over a wider step is taken: if the two differences disagree as well, a
    kink or rounding is in the way, and nothing is proved. So a kink within reach fails no network;
    a wrong formula, which all steps show alike, does not pass.

    Power: an error of 2e-5 of the product's part in any one parameter that has at least 1e-2 of
    the whole, whatever the number of parameters.

    A network that is rounded to float32 on its way is checked without that rounding. One whose
    activations lie exactly on a kink, where there is no derivative, is checked a little beside that
    point, and a warning says so.

    Cost: 3 forward and backward passes and a product over the images of ``op``, where the first
    direction serves.

    Args:
        op: a few images in float64, multiplied with by double backward. Its point may be moved.

    Returns:
        The derivatives at the operator's point; None where they are to be taken anew.

    Raises:
        NonFiniteError: the product holds NaN or infinity.
        OperatorError: the gradient is not that of the loss, or the product not that of the
            gradient.
    """
    first = derivatives(op, 0)
    if not first.reached.all():
        _check_unreached(op, first)
    evidence = gather_evidence(op, first)
    if evidence.agrees.all():
        return first
    casts = lower_precision(op)
    with CastsLifted() if casts else contextlib.nullcontext():
        at = first
        if casts:
            logger.info("checked without the network's own casts: %s", ", ".join(sorted(casts)))
            at = derivatives(op, 0)
            evidence = gather_evidence(op, at)
        if evidence.loss_jumps(at.value):
            raise OperatorError(
                "the loss jumps exactly at this point, where it has no derivative: the network "
                "rounds, compares or sorts what depends on its parameters"
            )
        kinks = [] if evidence.agrees.all() else kinks_that_move(op, STEPS[0] * at.vector)
        if kinks or evidence.gradient_jumps(at.slopes):
            logger.warning("%s", describe_kinks(kinks))
            _move_beside(op)
            evidence = gather_evidence(op, derivatives(op, 0))
    _judge(op, evidence)
    return None


def _check_unreached(op: ChunkedOperator, at: Derivatives) -> None:
    """Raise OperatorError where the loss depends on parameters that no gradient reaches."""
    unreached = [n for n, known in zip(op.names, at.reached.tolist(), strict=True) if not known]
    step = torch.zeros(op.size, dtype=op.dtype, device=op.device)
    for name in unreached:
        step[op.parameter_slices.slices[name]] = _DETACHED_STEP
    with op.moved(step):
        change = abs(op.loss() - at.value)
    if change > _DETACHED_CHANGE * (abs(at.value) + 1):
        raise OperatorError(
            f"the loss depends on {len(unreached)} parameters that no gradient reaches, such as "
            f"{unreached[0]}: they are detached (detach, torch.no_grad, .data), and their part of "
            "the Hessian would be 0; hold them fixed (requires_grad_(False)), or attach them"
        )


def describe_kinks(kinks: list[KinkedInput]) -> str:
    """Say where the loss has a kink at the very point, and what the Hessian is there."""
    if not kinks:
        return (
            "the gradient jumps exactly at this point (ties of a maximum, a norm at 0?); the "
            "Hessian is not defined there, and is taken by torch's conventions"
        )
    most = max(kinks, key=lambda one: int(one.entries.sum()))
    count, share = int(most.entries.sum()), float(most.entries.double().mean())
    where = f" of layer {most.layer}" if most.layer else ""
    beside = f", and of {len(kinks) - 1} others" if len(kinks) > 1 else ""
    return (
        f"the loss has a kink exactly at this point: {count} inputs ({100 * share:.2g} %) of "
        f"{most.operation}{where}{beside} are where its derivative jumps (norms whose scale starts "
        "at 0, constant images?); the Hessian is not defined there, and is taken by torch's "
        "convention for that derivative (0 for relu at 0)"
    )


def _judge(op: ChunkedOperator, evidence: Evidence) -> None:
    wrong = evidence.wrong
    if wrong[-1]:
        raise OperatorError(
            f"the gradient is not the derivative of the loss ({_percent(evidence.worst[-1])} off): "
            "a custom backward is wrong, or a part of the graph is detached (straight-through, "
            "stop-gradient)"
        )
    if wrong.any():
        worst = int(torch.where(wrong, evidence.worst, -1).argmax())
        raise OperatorError(
            "the Hessian-vector product is not the derivative of the gradient "
            f"({_percent(evidence.worst[worst])} off in parameter {op.names[worst]}): a custom "
            "backward is wrong in second order or has none, or a part of it is detached"
        )
    unknown = ~evidence.agrees
    if unknown[:-1].any():
        names = [n for n, open_ in zip(op.names, unknown[:-1].tolist(), strict=True) if open_]
        logger.info("differences of the gradient are noise in %d parameters: %s", len(names), names)


def _percent(share: Tensor) -> str:
    return f"{100 * float(share):.2g} %"


@torch.no_grad()
def _move_beside(op: ChunkedOperator) -> None:
    """Move the parameters off a kink, by a thousandth of their size."""
    generator = make_generator(0, "beside a kink")
    for parameter in op.parameters:
        size = float(parameter.square().mean().sqrt()) + _LEAST_SIZE
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.add_(_BESIDE * size * drawn.to(parameter.device))
