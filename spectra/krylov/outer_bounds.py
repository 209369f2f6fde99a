"""What no eigenvalue lies beyond, after a Lanczos run from a cold random start.

A Ritz value bounds its end of the spectrum from inside only. From a start vector that is uniform on
the sphere, both ends are bounded from outside too, with a stated probability, because such a vector
is hardly ever close to orthogonal to an eigenvector. A start that depends on H (a warm one), signs,
another operator (fewer images) or a restart void the bounds: :class:`spectra.findings.certificates.
Certificate` then says which.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta as beta_distribution

from spectra.errors import InputError
from spectra.krylov.tolerance import product_rounding
from spectra.krylov.tridiagonal import FloatArray, Tridiagonal

# Ours: what statements of probability are made at where nobody asks for another.
FAILURE = 0.05
# Ours: the share of the failure probability that is spent on Kuczynski & Wozniakowski's bound; it
# won in none of 3520 trial runs. Taking the better of two without paying for both would fail too
# often.
WORST_CASE_SHARE = 0.01
A_POSTERIORI, WORST_CASE = "a-posteriori", "kuczynski-wozniakowski"
_BISECTIONS = 80
_FLOAT32_EPS = 2.0**-23
# P from which on a start that is random in part bounds.
LEAST_SIZE = 3


@dataclass(frozen=True)
class OuterBounds:
    """Both ends of a spectrum, bounded from outside.

    Attributes:
        below: no eigenvalue is smaller, eigenvalue units; -inf where nothing is known.
        above: no eigenvalue is larger; inf where nothing is known.
        failure: probability, over the start vector, that either is wrong, at most.
        method: ``a-posteriori`` or ``kuczynski-wozniakowski``, for below and for above.
    """

    below: float
    above: float
    failure: float
    method: tuple[str, str]


def outer_bounds(
    t: Tridiagonal,
    size: int,
    failure: float = FAILURE,
    *,
    rounding: float | None = None,
    random_share: float = 1.0,
) -> OuterBounds:
    """Return the better of :func:`a_posteriori` and :func:`kuczynski_wozniakowski` at each end.

    ``failure`` is split between them (:data:`WORST_CASE_SHARE`), so that it holds for the result.
    After a start that is random in part, the first alone is known.

    Args:
        t: projection on the Krylov space of one start vector: uniform on the sphere, or the sum of
            such a vector and of others that do not depend on it.
        size: P.
        failure: probability, over the start vector, that either end is wrong; 0 < failure < 1.
        rounding: uncertainty of a product relative to the largest |θ|; None: that of float64, see
            :func:`spectra.krylov.tolerance.product_rounding`.
        random_share: squared length of the start's random part over that of the start; 1: all of
            it is random. Under 1, P is to be at least 3.

    Raises:
        InputError: an argument is out of range, or the run was restarted (β = 0 inside).

    Example:
        >>> H = spectra.DenseOperator(torch.diag(torch.linspace(-1, 5, 50).double()))
        >>> start = spectra.draw_probe(50, probe="normal", generator=spectra.make_generator(0))
        >>> found = spectra.outer_bounds(spectra.lanczos_tridiag(H, start, num_steps=20), 50)
        >>> found.below <= -1 and found.above >= 5, found.failure
        (True, 0.05)
    """
    _check(t, size, failure)
    if random_share != 1.0:
        return a_posteriori(t, size, failure, rounding=rounding, random_share=random_share)
    sharp = a_posteriori(t, size, failure * (1 - WORST_CASE_SHARE), rounding=rounding)
    worst = kuczynski_wozniakowski(t, size, failure * WORST_CASE_SHARE)
    low = sharp if sharp.below >= worst.below else worst
    high = sharp if sharp.above <= worst.above else worst
    return OuterBounds(low.below, high.above, failure, (low.method[0], high.method[1]))


def rounding_seen(t: Tridiagonal, ends: tuple[float, float], size: int, eps: float) -> float:
    """Return what a run's products are uncertain by, relative to the largest |θ|.

    At least :func:`spectra.krylov.tolerance.product_rounding`; and where products are in float32
    and ``ends`` are known in float64, twice what the ends of the run are off. Float32 products of
    somebody's own loss have been wrong by 2e-3, where that subtracts what is nearly equal.

    Args:
        t: projection that the run left.
        ends: Rayleigh quotients of its lowest and highest Ritz vector.
        size: P.
        eps: of the products' dtype.
    """
    least = product_rounding(size, eps)
    values = t.ritz_values()
    largest = float(np.abs(values).max())
    if eps < _FLOAT32_EPS or not largest > 0:
        return least
    off = max(abs(ends[0] - float(values[0])), abs(ends[1] - float(values[-1])))
    return max(least, 2 * off / largest)


def worst_case_error(num_steps: int, size: int, failure: float) -> float:
    """Return the ε with Pr[(λmin found - λmin) > ε (λmax - λmin)] <= ``failure``, at one end.

    From Pr <= 1.648 √P exp(-√ε (2m - 1)), whatever the spectrum.

    Args:
        num_steps: m, Krylov dimension, fixed beforehand.
        size: P.
        failure: at this end, 0 < failure < 1.

    Source: Kuczynski & Wozniakowski, SIAM J. Matrix Anal. Appl. 13 (1992), theorem 4.2, for the
    largest eigenvalue of a positive semidefinite matrix, here λmax - H or H - λmin.
    """
    return (math.log(1.648 * math.sqrt(size) / failure) / (2 * num_steps - 1)) ** 2


def kuczynski_wozniakowski(t: Tridiagonal, size: int, failure: float) -> OuterBounds:
    """Bound both ends by the worst case over all spectra of size P.

    With ε of :func:`worst_case_error`, ``failure`` split between the ends, the spread S of the
    spectrum obeys S <= θmax - θmin + 2εS; then λmin >= θmin - εS and λmax <= θmax + εS. Nothing is
    known where ε >= 1/2. It holds for an m that was fixed beforehand, not for one chosen by what
    the run showed.

    Args:
        t: as in :func:`outer_bounds`.
        size: P.
        failure: probability that either end is wrong.
    """
    _check(t, size, failure)
    low, high = float(t.ritz_values()[0]), float(t.ritz_values()[-1])
    error = worst_case_error(len(t), size, failure / 2)
    reach = error * (high - low) / (1 - 2 * error) if error < 0.5 else math.inf
    return OuterBounds(low - reach, high + reach, failure, (WORST_CASE, WORST_CASE))


def a_posteriori(
    t: Tridiagonal,
    size: int,
    failure: float,
    *,
    rounding: float | None = None,
    random_share: float = 1.0,
) -> OuterBounds:
    """Bound both ends by what the run itself showed.

    An eigenvector has the component c π_j(λ) in Lanczos vector j + 1, with π_j the orthonormal
    polynomials of α and β, and these add up to at most 1: c² Σ_j π_j(λ)² <= 1, j = 0..m. Below θmin
    the sum rises as λ falls, so with c² >= c0² no eigenvalue lies below the λ where it is 1 / c0².
    For a start uniform on the sphere c² is Beta(1/2, (P-1)/2), which gives c0² for ``failure`` / 2.
    Only the start vector is random in this: it holds for any m, however that was chosen.

    A start u + z, z uniform on a sphere and u independent of it, has an eigenvector's component
    vᵀu + vᵀz, which is at least as rarely small as vᵀz alone, because vᵀz is symmetric about 0
    and falls off from there (P >= 3). So c0² is that of z times |z|² / |u + z|², ``random_share``.

    Where the space closed, what was taken for β_m = 0 is at most the rounding, which stands in for
    it: the bound is θmin to rounding.

    Cost: O(m) for each of 80 bisections; no product.

    Args:
        t: as in :func:`outer_bounds`.
        size: P.
        failure: probability that either end is wrong.
        rounding: as in :func:`outer_bounds`; the ends are moved outwards by it.
        random_share: as in :func:`outer_bounds`.

    Source: van Dorsselaer, Hochstenbach & van der Vorst, SIAM J. Matrix Anal. Appl. 22 (2000),
    section 3. Departure: Σ_j π_j² for π_m² alone, c² by its exact distribution, and log scale;
    Anderson, Proc. AMS 6 (1955), in one dimension, for u + z.
    """
    _check(t, size, failure)
    if rounding is None:
        rounding = product_rounding(size)
    values = t.ritz_values()
    rounding *= float(np.abs(values).max())
    target = -math.log(least_component(size, failure, random_share))
    betas = np.append(t.betas, max(t.residual_beta, rounding) if t.closed else t.residual_beta)
    low = _distance_below(t.alphas, betas, float(values[0]), target, rounding)
    high = _distance_below(-t.alphas, betas, -float(values[-1]), target, rounding)
    method = (A_POSTERIORI, A_POSTERIORI)
    return OuterBounds(float(values[0]) - low, float(values[-1]) + high, failure, method)


def least_component(size: int, failure: float, random_share: float = 1.0) -> float:
    """Return c0²: an eigenvector's squared component in the start is smaller with probability
    ``failure`` / 2.

    Args:
        size: P.
        failure: for two eigenvectors together, one at each end.
        random_share: as in :func:`outer_bounds`.

    Raises:
        InputError: a start that is random in part, at P < 3.
    """
    if not (random_share == 1.0 or (0 < random_share < 1 and size >= LEAST_SIZE)):
        raise InputError(
            f"random_share must lie in (0, 1], and be 1 where P < {LEAST_SIZE}, got {random_share} "
            f"at P = {size}"
        )
    # All of R^1 is one eigenvector's.
    whole = float(beta_distribution.ppf(failure / 2, 0.5, (size - 1) / 2)) if size > 1 else 1.0
    return random_share * whole


def log_sum_of_squares(alphas: FloatArray, betas: FloatArray, point: float) -> float:
    """Return log Σ_{j=0..m} π_j(``point``)² below every Ritz value; inf at or above one.

    π_j is, up to its sign, the product of the first j pivots of T - point over the first j β.

    Args:
        alphas: shape (m,).
        betas: those between, then β_m, shape (m,); where the last is 0, j stops at m - 1.
        point: where, eigenvalue units.
    """
    logs = [0.0]
    pivot = math.inf
    coupling = 0.0
    for alpha, beta in zip(alphas.tolist(), betas.tolist(), strict=True):
        pivot = alpha - point - coupling**2 / pivot
        if beta == 0:
            break
        if not pivot > 0:
            return math.inf
        logs.append(logs[-1] + 2 * (math.log(pivot) - math.log(beta)))
        coupling = beta
    top = max(logs)
    return top + math.log(sum(math.exp(x - top) for x in logs))


def _distance_below(
    alphas: FloatArray, betas: FloatArray, theta: float, target: float, rounding: float
) -> float:
    """Return how far below ``theta``, θmin, the log sum reaches ``target``, plus ``rounding``."""
    if betas[0] == 0:  # H = 0: a multiple of the identity, with no rounding at all
        return rounding
    # π_1 alone reaches the target at α_1 - β_1 / c0.
    far = max(theta - float(alphas[0]) + float(betas[0]) * math.exp(target / 2), 0.0)
    near = rounding if rounding > 0 else 2.0**-52 * far
    if far <= near or log_sum_of_squares(alphas, betas, theta - near) >= target:
        return near + rounding
    for _ in range(_BISECTIONS):
        middle = math.sqrt(near * far)
        if log_sum_of_squares(alphas, betas, theta - middle) >= target:
            far = middle
        else:
            near = middle
    return far + rounding


def _check(t: Tridiagonal, size: int, failure: float) -> None:
    if not 1 <= len(t) <= size:
        raise InputError(f"size must be at least the {len(t)} steps of the run, got {size}")
    if not 0 < failure < 1:
        raise InputError(f"failure must lie between 0 and 1, got {failure}")
    if (t.betas == 0).any():
        raise InputError(
            "the run was restarted (a β inside is 0): no bound follows; pass the projection of its "
            "first block, t.first_block()"
        )
