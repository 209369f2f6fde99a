"""An independent search for stationary points, by dense Levenberg-Marquardt in float64.

It shares nothing with the search that is judged: whole Hessians, whole spectra, many starts.
"""

import torch
from known_functions import KnownFunction
from stationary_bases import Base, base_at
from torch import Tensor

# Ours: from a start in the basin of a stationary point, Newton's steps need less than ten.
ROUNDS = 40


def root_near(function: KnownFunction, start: Tensor, *, leave: float = torch.inf) -> Base | None:
    """Return the stationary point that minimising ‖∇‖² from ``start`` leads to.

    Args:
        leave: the path is given up where it is farther than this from ``start``.

    Returns:
        None where the path ends elsewhere than at a gradient of zero, or is given up.
    """
    w, g = start, function.gradient(start)
    damping = 1e-3
    for _ in range(ROUNDS):
        before = float(g.norm())
        if before < 1e-13 or float((w - start).norm()) > leave:
            break
        eigenvalues, vectors = torch.linalg.eigh(function.dense(w))
        along, fell = vectors.T @ g, False
        for _ in range(8):
            push = damping * before  # vanishes at a stationary point: Newton's steps in the end
            step = -vectors @ (along * eigenvalues / (eigenvalues.square() + push))
            step = step / max(1.0, 4 * float(step.norm()))
            after = function.gradient(w + step)
            if fell := float(after.norm()) < before:
                break
            damping = damping * 10 + 1e-12
        if not fell:
            break
        slow = float(after.norm()) > 0.999 * before
        w, g, damping = w + step, after, damping / 10
        if slow:
            break
    return base_at(function, w)


def roots_within(
    function: KnownFunction,
    w: Tensor,
    radius: float,
    generator: torch.Generator,
    *,
    starts: int = 4,
) -> list[Base]:
    """Return the stationary points within ``radius`` of w, as far as many starts find them.

    Starts: w, points drawn within the ball, and points along the extreme eigenvectors at w.
    """
    _, vectors = torch.linalg.eigh(function.dense(w))
    drawn = torch.randn(starts, len(w), generator=generator, dtype=torch.float64)
    lengths = radius * torch.rand(starts, generator=generator, dtype=torch.float64)
    steps = [torch.zeros_like(w), *(x / x.norm() * t for x, t in zip(drawn, lengths, strict=True))]
    steps += [sign * radius / 2 * vectors[:, k] for k in (0, -1) for sign in (1, -1)]
    found = [root_near(function, w + step, leave=3 * radius) for step in steps]
    return [base for base in found if base and float((base.point - w).norm()) <= radius]
