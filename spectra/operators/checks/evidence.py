"""What comparisons with central differences show of each parameter, in several directions."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from spectra.operators.checks.differences import (
    Derivatives,
    block_norms,
    central_difference,
    derivatives,
)
from spectra.operators.chunked import ChunkedOperator

# Along directions of length 1, in turn: where the narrowest is spoiled by rounding a wider one
# serves, where a wide one is spoiled by a kink a narrow one. Rounding in float64 is some 1e-16 / h
# of the gradient, the chance of a kink on 4 images of a ResNet some h / 1e-7.
STEPS = (1e-8, 1e-8, 1e-7, 1e-9, 1e-6)
# Of the product in the block of a parameter, and of the whole product: ten times the rounding that
# was seen, up to a million parameters. A formula that is wrong by 1 % in one layer of twenty moves
# blocks by 1e-4.
OF_BLOCK, OF_WHOLE = 2e-6, 3e-8
# Of the slope along the gradient, which has a share of every parameter; and what rounding may
# change a loss by, of itself or of 1: some ulp of outputs of 20.
OF_SLOPE, OF_LOSS = 2e-6, 2e-14
# The wider of two differences, in steps of the narrower. A kink or rounding within the narrow step
# makes them differ by at least 3/8 of its error, which has to be smaller than this times that.
WIDER, DOUBT = 4, 4.0
# A failure counts where it is seen in as many directions, and success in none.
ENOUGH = 2
# What a change of the loss, or of the gradient, that no derivative explains has to be for a jump:
# of itself, and at least; rounding in float64 is some 1e-15.
_JUMP_OF_LOSS, _LEAST_JUMP_OF_LOSS = 1e-7, 1e-9
_JUMP_OF_GRADIENT, _LEAST_JUMP_OF_GRADIENT = 1e-9, 1e-12


@dataclass
class Evidence:
    """What was seen so far: by parameter, and last of the loss's slope; each of shape (B + 1,).

    Attributes:
        agrees: difference and derivative were seen to agree.
        differs: how often they were seen to differ.
        worst: the largest relative difference seen.
        unexplained: the least change that a step made and a derivative does not explain.
    """

    agrees: Tensor
    differs: Tensor = field(init=False)
    worst: Tensor = field(init=False)
    unexplained: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.differs = self.agrees.long() * 0
        self.worst = self.agrees.double() * 0
        self.unexplained = torch.full_like(self.worst, torch.inf)

    @property
    def wrong(self) -> Tensor:
        """Where failures are enough to say that a formula is wrong."""
        return ~self.agrees & (self.differs >= ENOUGH)

    def is_settled(self) -> bool:
        """Say whether of everything it is known if it is right or wrong."""
        return bool((self.agrees | self.wrong).all())

    def loss_jumps(self, value: float) -> bool:
        """Say whether the loss, ``value``, jumps: changes by more than its slope at every step."""
        least = max(_JUMP_OF_LOSS * abs(value), _LEAST_JUMP_OF_LOSS)
        return not self.agrees[-1] and float(self.unexplained[-1]) > least

    def gradient_jumps(self, slopes: Tensor) -> bool:
        """Say whether the gradient, of norms ``slopes`` by parameter, does so in some of them."""
        least = (_JUMP_OF_GRADIENT * slopes).clamp_min(_LEAST_JUMP_OF_GRADIENT)
        open_ = ~self.agrees[:-1] & ~self.wrong[:-1]
        return bool((open_ & (self.unexplained[:-1] > least)).any())


def gather_evidence(op: ChunkedOperator, at: Derivatives) -> Evidence:
    """Compare derivatives with central differences along one direction after the other.

    It ends with the first direction along which all agree.

    Args:
        op: in float64.
        at: its derivatives along the first direction.
    """
    # Others are not used, or detached for good.
    evidence = Evidence(~torch.cat([at.reached, at.reached.any()[None]]))
    for attempt, step in enumerate(STEPS):
        if attempt:
            at = derivatives(op, attempt)
        slope, product = central_difference(op, at.vector, step)
        sizes = block_norms(op, at.product) + block_norms(op, product)
        along = float((at.slopes * block_norms(op, at.vector)).sum())
        error = _with(
            block_norms(op, product - at.product), abs(slope - float(at.gradient @ at.vector))
        )
        allowed = _with(
            OF_BLOCK * sizes + OF_WHOLE * sizes.norm(),
            OF_SLOPE * along + OF_LOSS * max(1.0, abs(at.value)) / (2 * step),
        )
        evidence.agrees |= error <= allowed
        if evidence.is_settled():
            break
        wide_slope, wide_product = central_difference(op, at.vector, WIDER * step)
        wide_product -= product
        doubt = _with(block_norms(op, wide_product), abs(wide_slope - slope))
        # In a single number two roundings may agree by chance; throughout a vector they do not.
        doubt = doubt.maximum(wide_product.norm() / sizes.norm() * _with(sizes, along))
        failed = error > allowed + DOUBT * doubt
        evidence.differs += failed
        relative = (error / _with(sizes, along)).maximum(evidence.worst)
        evidence.worst = torch.where(failed, relative, evidence.worst)
        evidence.unexplained = evidence.unexplained.minimum(2 * step * error)
        if evidence.is_settled():
            break
    return evidence


def _with(blocks: Tensor, last: float) -> Tensor:
    return torch.cat([blocks, blocks.new_tensor([last])])
