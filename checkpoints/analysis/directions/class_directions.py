"""The direction of least curvature of each class, and what mini-batches do along it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.named_classes import chosen_losses
from checkpoints.analysis.request import TheoremRequest
from checkpoints.checkpoint import Checkpoint
from spectra import Extremes, HessianOperator, extremes_by_active_images, make_generator
from spectra.findings.sam.sam_effect import SamEffect
from spectra.findings.sam.sam_slopes import sam_effects, with_batches
from spectra.findings.sharpness import (
    Amplification,
    BatchProjections,
    amplifications,
    batch_projections,
)
from spectra.krylov.defaults import ACTIVE_TOLERANCE
from spectra.krylov.tolerance import Tolerance
from spectra.results.directions.theorem_result import MeasuredAt, TheoremProtocol


@dataclass(frozen=True)
class Direction:
    """A class's Hessian and its direction of least curvature.

    Attributes:
        label: of the class.
        op: its Hessian.
        found: both ends of its spectrum.
        views: images beside each other that are views of one.
    """

    label: str
    op: HessianOperator
    found: Extremes
    views: int

    @property
    def vector(self) -> Tensor:
        """v_min, shape (P,), float64, of length 1."""
        return self.found.smallest.vector


def directions_of(
    checkpoint: Checkpoint,
    losses: Losses,
    request: TheoremRequest,
    on_class: Callable[[str, int, int], None],
) -> list[Direction]:
    """Find v_min of each class that ``request`` names.

    Args:
        checkpoint: weights.
        losses: of its classes.
        request: which classes, and how.
        on_class: called with each label, its place and how many there are, before it is worked on.

    Raises:
        InputError: the request does not fit.
    """
    analysis = request.analysis
    chosen = chosen_losses(analysis, checkpoint, losses.data)
    solver, found = analysis.solver, []
    for k, (label, classes) in enumerate(chosen.items()):
        on_class(label, k, len(chosen))
        op = losses.prepare(label, classes, check=k == 0).op
        ends = extremes_by_active_images(
            op,
            generator=make_generator(solver.seed, "extremes", label),
            tolerance=Tolerance(solver.tol or ACTIVE_TOLERANCE, solver.floor),
            max_steps=solver.max_steps,
            proof=False,
        )
        op.forget()
        found.append(Direction(label, op, ends, losses.protocol.views))
    return found


def images_of_batch(whole: HessianOperator, request: TheoremRequest) -> int:
    """Return how many images a mini-batch has: no more than there are."""
    return min(request.batch_size, whole.num_images)


def draw_batches(whole: HessianOperator, request: TheoremRequest) -> list[Tensor]:
    """Return the positions of the images of each mini-batch, drawn without replacement.

    None where a batch would be all of the images, and every one the same.
    """
    if images_of_batch(whole, request) == whole.num_images:
        return []
    generator = make_generator(request.analysis.solver.seed, "theorem batches")
    size = images_of_batch(whole, request)
    return [
        torch.randperm(whole.num_images, generator=generator)[:size].sort().values
        for _ in range(request.num_batches)
    ]


def effects_of(
    one: Direction,
    along: BatchProjections | None,
    squares: tuple[Amplification, ...],
    request: TheoremRequest,
    *,
    batch_size: int,
    gradient: Tensor | None = None,
) -> tuple[SamEffect, ...]:
    """Return what SAM does to a class's step along its v_min at each ρ.

    Args:
        one: the class.
        along: what mini-batches are along its v_min; None: a batch is all of the images.
        squares: what becomes of their mean square.
        request: the radii.
        batch_size: images of a batch.
        gradient: of the class, where it is known.
    """
    effects = sam_effects(
        one.op,
        one.vector,
        one.found.smallest.value,
        request.rhos,
        label=one.label,
        residual=one.found.smallest.residual_norm,
        views=one.views,
        gradient=gradient,
    )
    effects = tuple(
        replace(effect, lambda_max=one.found.largest.value, batch_size=batch_size)
        for effect in effects
    )
    if along is None:
        return effects
    return with_batches(effects, along, squares, batch_size=batch_size)


def batches_along(
    one: Direction, whole: HessianOperator, batches: Sequence[Tensor], request: TheoremRequest
) -> tuple[BatchProjections | None, tuple[Amplification, ...]]:
    """Return what mini-batches are along a class's v_min, and what becomes of their mean square.

    Args:
        one: the class.
        whole: over the images that they are drawn from.
        batches: see :func:`draw_batches`; empty: nothing is said of them.
        request: radii and seed.
    """
    if not batches:
        return None, ()
    along = batch_projections(whole, one.vector, batches, request.rhos)
    generator = make_generator(request.analysis.solver.seed, "batch bootstrap", one.label)
    return along, tuple(amplifications(along, one.found.smallest.value, generator=generator))


def measured_at(checkpoint: Checkpoint) -> MeasuredAt:
    """Return which weights these are."""
    return MeasuredAt(checkpoint.name, checkpoint.epoch)


def protocol_of(request: TheoremRequest) -> TheoremProtocol:
    """Return what a request asks for, as results keep it."""
    analysis = request.analysis
    return TheoremProtocol(
        images=analysis.images,
        split=analysis.split,
        loss=analysis.loss,
        images_per_class=analysis.images_per_class,
        num_batches=request.num_batches,
        batch_size=request.batch_size,
        seed=analysis.solver.seed,
    )
