"""Convolutions with rings of every kind have the products of double backward."""

import pytest
import torch
from oracles import cross_entropy, random_vector, refill
from torch import nn

from spectra.products import Tuning, make_products
from spectra.products.layers.from_graph import GraphLayer

# Relative: sums of some thousand terms in float64, in another order than torch's.
ROUNDING = 1e-12
RINGS = {
    "same": {"kernel_size": 3, "padding": "same"},
    "same, even": {"kernel_size": (2, 4), "padding": "same"},
    "same, dilated": {"kernel_size": (3, 2), "padding": "same", "dilation": (1, 3)},
    "valid": {"kernel_size": 3, "padding": "valid", "stride": 2},
    "circular": {"kernel_size": 3, "padding": (1, 2), "padding_mode": "circular"},
    "reflected": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect", "groups": 2},
    "repeated": {"kernel_size": 2, "padding": "same", "padding_mode": "replicate"},
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("stacked", [1, 3])
@pytest.mark.parametrize("name", RINGS)
def test_a_ring(name, stacked):
    options = RINGS[name]
    with torch.random.fork_rng(devices=[]):  # the constructors draw from the global generator
        model = nn.Sequential(
            nn.Conv2d(3, 4, **{**options, "groups": 1}), nn.Tanh(), nn.Conv2d(4, 4, **options),
            nn.BatchNorm2d(4), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
        )  # fmt: skip
    model = refill(model, name).double().eval()
    x = random_vector(5 * 3 * 64, "x").view(5, 3, 8, 8)
    batch = x, torch.arange(5) % 3, torch.linspace(0.5, 2, 5).double()
    size = sum(p.numel() for p in model.parameters())
    vectors = torch.stack([random_vector(size, i) for i in range(stacked)])
    oracle, tangent = (
        make_products(way, model, cross_entropy, Tuning()) for way in ("double-backward", "tangent")
    )
    kept = oracle.linearise(*batch)
    expected = torch.stack([kept.product(oracle.direction(v)) for v in vectors])
    found = tangent.linearise(*batch).product(tangent.direction(vectors.squeeze(0)))
    assert float((found - expected).norm()) <= ROUNDING * float(expected.norm())
    assert not any(isinstance(step.layer, GraphLayer) for step in tangent.trace.steps)
