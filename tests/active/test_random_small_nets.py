"""Ends of random small networks against dense Hessians, found in three ways.

All 300: ``pytest tests/active/test_random_small_nets.py -m slow -s``.
"""

from collections import Counter

import pytest
from random_nets import RandomNet, random_net

from spectra import extreme_eigenpairs, make_generator
from spectra.active.extremes_by_active_images import extremes_by_active_images
from spectra.engines.certify import certificates_of
from spectra.engines.result import EngineResult
from spectra.krylov.extremes import Extremes

SAMPLE, ALL = range(1000, 1008), range(300)


def three_ways(net: RandomNet, seed: int) -> dict[str, Extremes]:
    """Return both ends: on active images, from a warm start, by Lanczos on all images."""

    def active(op, name, warm=None):
        return extremes_by_active_images(op, generator=make_generator(seed, name), warm=warm)

    return {
        "active": active(net.now, "active"),
        "warm": active(net.now, "warm", active(net.before, "before")),
        "cold": extreme_eigenpairs(net.now, min_steps=1, seed=seed),
    }


def judged(net: RandomNet, found: Extremes) -> Counter[str]:
    """Count what is wrong with both ends, and what is right."""
    counts: Counter[str] = Counter()
    true = float(net.eigenvalues[0]), float(net.eigenvalues[-1])
    # Both ends on the scale of the lower one.
    size = max(abs(true[0]), 1e-3 * true[1])
    # What a dense eigensolver may be wrong by.
    ulps = 1e-12 * max(abs(end) for end in true)
    certificates = certificates_of(EngineResult(None, found, "somehow"), net.now.dtype)
    for pair, end, known in zip((found.smallest, found.largest), true, certificates, strict=True):
        counts["converged" if pair.converged else "not converged"] += 1
        counts["wrong and converged"] += pair.converged and abs(pair.value - end) > 0.03 * size
        outward = -1 if known.which == "smallest" else 1
        counts["(i) violated"] += outward * (known.attained - end) > ulps
        nearest = float((net.eigenvalues - pair.value).abs().min())
        counts["(ii) violated"] += nearest > pair.residual_norm + known.rounding + ulps
        if known.beyond is not None:
            counts["bounded"] += 1
            counts["(iii) violated"] += outward * (end - known.beyond) > ulps
    return counts


@pytest.mark.parametrize("seed", SAMPLE)
def test_no_end_is_wrong_and_converged_and_no_statement_is_violated(seed):
    net = random_net(seed)
    for way, found in three_ways(net, seed).items():
        counts = judged(net, found)
        wrong = {name: counts[name] for name in counts if "wrong" in name or "violated" in name}
        assert not any(wrong.values()), (way, wrong)


@pytest.mark.slow
def test_of_300_nets_no_end_is_wrong_and_converged():
    counts: Counter[str] = Counter()
    for seed in ALL:
        net = random_net(seed)
        for way, found in three_ways(net, seed).items():
            counts.update({f"{way}: {name}": n for name, n in judged(net, found).items()})
    print("\n", "\n ".join(f"{name} {n}" for name, n in sorted(counts.items())))
    for way in ("active", "warm", "cold"):
        assert counts[f"{way}: wrong and converged"] == 0
        assert counts[f"{way}: (i) violated"] == 0
        assert counts[f"{way}: (ii) violated"] == 0
        # Each run's bounds fail with probability .05 at most, over both ends: with 300 runs, 26 is
        # three standard deviations.
        assert counts[f"{way}: (iii) violated"] <= 26
        assert counts[f"{way}: converged"] >= 0.95 * 600
