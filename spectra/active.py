"""Both extremes of a class's Hessian, most of the work done on the images that bend the loss.

After training, a few images carry nearly all of the curvature. Lanczos runs on those; what it finds
is refined and judged on all of them: value and residual come from products over every image, so the
answer never depends on the selection. Where it does not pay, all images are used throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.extremes import FLOOR, MAX_STEPS, Extremes
from spectra.hessian import HessianOperator
from spectra.judge import Judged, allowed_residuals, as_pairs, judge
from spectra.lanczos import Lanczos
from spectra.lower_bound import TailBounds, bounds
from spectra.slq import StepCallback, draw_probe
from spectra.subspace import RitzSpace, Subspace

# Ours: a residual of 5 % of |θ| once stopped at the second-lowest eigenvalue, 6 % off; 3 % has left
# errors under 1 % in |λmin/λmax| on every network tried (docs/benchmarks.md).
RESIDUAL_TOLERANCE = 0.03
# Ours, measured on ResNet-20 and -32: Lanczos runs on the fifth of the images of highest score.
SHARE = 0.2
# Ours: fewer images than this fill no more than one core.
FEW_IMAGES = 24
# Ours: where a fifth of the images holds less than this of Σ scores, images hardly differ, and a
# selection misleads more than it saves.
PAYS = 0.25
# Relative residual that Lanczos is run to on a selection: what it leaves out is far larger.
FIRST_TOLERANCE = 0.1
# Ours: part of a random direction in a warm start, against eigenvectors that come up from below.
RANDOM_PART = 0.3
MAX_REFINEMENTS = 40


@dataclass(frozen=True)
class ActiveImages:
    """The images that Lanczos runs on.

    Attributes:
        index: positions, rising; None: all images.
        share: part of Σ scores that they hold.
    """

    index: Tensor | None
    share: float


def choose_active(scores: Tensor) -> ActiveImages:
    """Choose images by :meth:`HessianOperator.scores`: all where a selection does not pay."""
    n, total = len(scores), float(scores.sum())
    size = max(FEW_IMAGES, round(SHARE * n))
    if size > n // 2 or not total > 0:
        return ActiveImages(None, 1.0)
    index = scores.argsort(descending=True, stable=True)[:size].sort().values
    share = float(scores[index].sum()) / total
    return ActiveImages(index, share) if share >= PAYS else ActiveImages(None, 1.0)


@dataclass(frozen=True)
class ActiveExtremes(Extremes):
    """Both ends, and what certificates need.

    Attributes:
        scales: see :class:`spectra.judge.Judged`.
        tail: what bounds the spectrum from outside, after a cold start with all images.
    """

    scales: tuple[float, float] = (0.0, 0.0)
    tail: TailBounds | None = None


def solve_extremes(
    op: HessianOperator,
    *,
    generator: torch.Generator,
    warm: Extremes | None = None,
    tol: float = RESIDUAL_TOLERANCE,
    floor: float = FLOOR,
    max_steps: int = MAX_STEPS,
    proof: bool = True,
    on_step: StepCallback | None = None,
) -> ActiveExtremes:
    """Find λmin and λmax over all images of ``op``.

    Cost: one forward pass, some 20 to 30 Lanczos steps on a fifth of the images, and for each end a
    product on all: one where few images carry the curvature, a few where many do; with ``proof``,
    a float64 product each beside.

    Args:
        op: the Hessian.
        generator: source of the start vector.
        warm: what a neighbouring checkpoint gave, of the same size; the start is then its two
            vectors and a random part.
        tol: residual over all images, relative to |θ|, at which an end counts as converged.
        floor: size, relative to the largest |θ|, under which an eigenvalue counts as zero.
        max_steps: limit of the Lanczos steps.
        proof: take the final values and residuals from float64 products.
        on_step: called after each Lanczos step with (steps done, limit).

    Returns:
        Pairs whose values and residuals are over all images; ``start`` and ``images_used`` say how
        they were come by. Nothing bounds λmin from below after a selection or a warm start.
    """
    if not (tol > 0 and floor >= 0 and max_steps >= 1):
        raise InputError(f"tol, floor, max_steps are out of range: {tol}, {floor}, {max_steps}")
    if warm is not None and warm.smallest.vector.shape != (op.size,):
        raise InputError(f"a warm start must have {op.size} parameters")
    active = choose_active(op.scores())
    part = op if active.index is None else op.restricted(active.index)
    inner = tol if active.index is None else FIRST_TOLERANCE
    run = _lanczos(part, generator, warm, inner, floor, max_steps, on_step)
    if part is not op:
        part.forget()
    space = RitzSpace.of(run, scale=1 / active.share)
    ends = space.vectors[[0, -1]].double()
    exact = op.in_float64() if proof else op
    sub, refinements = None, 0
    if active.index is not None:
        sub = Subspace(op)
        sub.extend(list(ends))
        refinements = _refine(sub, space, tol, floor, MAX_REFINEMENTS)
        ends = sub.ends()[0]
    judged = _last_word(exact, sub, ends, tol, floor, again=proof or sub is None)
    while not all(p.converged for p in judged.pairs) and refinements < MAX_REFINEMENTS:
        vectors = torch.stack([p.vector for p in judged.pairs])
        if sub is None:
            sub = Subspace(op)
            sub.add(*_orthonormal(vectors, judged.products))
        # A margin, for products in float32 and in float64 differ.
        made = _refine(sub, space, 0.8 * tol, floor, MAX_REFINEMENTS - refinements)
        refinements += max(1, made)
        judged = _last_word(exact, sub, sub.ends()[0], tol, floor, again=proof)
    small, large = judged.pairs
    tail = None
    if active.index is None and warm is None:
        tail = bounds(run.tridiagonal(), op.size, rounding=_rounding(op))
    return ActiveExtremes(
        smallest=small,
        largest=large,
        steps=len(run),
        start="cold" if warm is None else "warm",
        images_used="all" if active.index is None else "active",
        active_images=op.num_images if active.index is None else len(active.index),
        refinements=refinements,
        proven=judged.proven,
        scales=judged.scales,
        tail=tail,
    )


def _last_word(
    op: HessianOperator,
    sub: Subspace | None,
    ends: Tensor,
    tol: float,
    floor: float,
    *,
    again: bool,
) -> Judged:
    """Judge ``ends`` by new products, or by those that the subspace holds."""
    if again or sub is None:
        return judge(op, ends, tol=tol, floor=floor)
    vectors, products = sub.ends()
    pairs = as_pairs(vectors, products, tol=tol, floor=floor)
    return Judged(pairs, products, (0.0, 0.0), proven=op.dtype == torch.float64)


def _rounding(op: HessianOperator) -> float:
    """Return what bounds() is told of a product's rounding, relative to max|θ|."""
    return float(10 * op.size**0.5 * torch.finfo(op.dtype).eps)


def _lanczos(
    op: HessianOperator,
    generator: torch.Generator,
    warm: Extremes | None,
    tol: float,
    floor: float,
    max_steps: int,
    on_step: StepCallback | None,
) -> Lanczos:
    """Run Lanczos until |βs| is within tolerance at both ends."""
    start = draw_probe(op.size, probe="normal", generator=generator).to(op.device)
    if warm is not None:
        start = warm.smallest.vector + warm.largest.vector + RANDOM_PART * start
    run = Lanczos(op, start)
    limit = min(max_steps, op.size)
    while len(run) < limit and run.step():
        if on_step:
            on_step(len(run), limit)
        t = run.tridiagonal()
        values, residuals = t.ritz_values()[[0, -1]], t.residual_bounds()[[0, -1]]
        allowed = allowed_residuals(values.tolist(), tol=tol, floor=floor)
        if len(run) > 2 and all(r <= a for r, a in zip(residuals, allowed, strict=True)):
            break
    return run


def _refine(sub: Subspace, space: RitzSpace, tol: float, floor: float, limit: int) -> int:
    """Add corrections of the ends that have not converged; return how many passes it took."""
    for made in range(limit):
        ritz = [sub.pair(i) for i in (0, -1)]
        allowed = allowed_residuals([r[0] for r in ritz], tol=tol, floor=floor)
        open_ends = [
            space.correction(residual, value)
            for (value, _, residual), a in zip(ritz, allowed, strict=True)
            if float(residual.norm()) > a
        ]
        if not open_ends or not sub.extend(open_ends):
            return made
    return limit


def _orthonormal(vectors: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
    """Return orthonormal vectors of the same span, and their products."""
    kept, images = [vectors[0] / vectors[0].norm()], [products[0] / vectors[0].norm()]
    overlap = kept[0] @ vectors[1]
    rest = vectors[1] - overlap * kept[0]
    if float(rest.norm()) > 1e-6 * float(vectors[1].norm()):
        kept.append(rest / rest.norm())
        images.append((products[1] - overlap * images[0]) / rest.norm())
    return torch.stack(kept), torch.stack(images)
