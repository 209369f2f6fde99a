import math

import pytest
import torch
from step_problems import DOUBLE, SHARES, filled, slope

from checkpoints.training.steps.focal_sam import FocalSAM
from checkpoints.training.steps.sam import SAM


def test_focal_sam_adds_the_weighted_sharpness():
    weights = torch.tensor([0.25, 0.75], dtype=DOUBLE)
    found, left = filled(lambda p: FocalSAM(p, rho=0.5, factor=0.6, class_weights=weights))

    def focal(w: float) -> float:
        terms = (SHARES[i] * slope(i, w) for i in range(3))
        return sum(f * t for f, t in zip((0.25, 0.25, 0.75), terms, strict=True))

    plain = sum(s * slope(i, 0.8) for i, s in enumerate(SHARES))
    there = 0.8 + math.copysign(0.5, focal(0.8))
    assert found == pytest.approx(plain + 0.6 * (focal(there) - focal(0.8)), rel=1e-12)
    assert left == 0.8


def test_focal_sam_with_equal_weights_is_sam():
    ones = torch.ones(2, dtype=DOUBLE)
    found, _ = filled(lambda p: FocalSAM(p, rho=0.5, factor=1.0, class_weights=ones))
    expected, _ = filled(lambda p: SAM(p, rho=0.5))
    assert found == pytest.approx(expected, rel=1e-12)
