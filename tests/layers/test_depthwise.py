"""Depthwise filters of any width have the products of double backward, in either layout."""

import pytest
import torch
from oracles import random_vector, refill
from product_nets import ROUNDING, operator
from torch import nn

from spectra.products import Tuning
from spectra.products.tuning import LAYOUTS

FILTERS = {
    "7x7": {"kernel_size": 7, "padding": 3},
    "5x5, stride 2": {"kernel_size": 5, "padding": 2, "stride": 2},
    "3x4, stride 1x3": {"kernel_size": (3, 4), "stride": (1, 3)},
    "two a channel": {"kernel_size": 5, "out_channels": 12},
    "dilated": {"kernel_size": 5, "dilation": 2, "padding": 4},
    "taller than the image": {"kernel_size": (13, 4), "padding": (6, 1)},
}


@pytest.mark.parametrize(("layout", "stacked"), list(zip(LAYOUTS, (1, 3), strict=True)))
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("name", FILTERS)
def test_depthwise_filters(name, norm, layout, stacked):
    options = {"in_channels": 6, "out_channels": 6, "groups": 6, **FILTERS[name]}
    wide = nn.Conv2d(**options, bias=not norm)
    channels = options["out_channels"]
    model = nn.Sequential(
        nn.Conv2d(3, 6, 1), nn.Tanh(), wide, nn.BatchNorm2d(channels) if norm else nn.Identity(),
        nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4),
    )  # fmt: skip
    model = refill(model, name)
    op = operator(model, products="tangent", tuning=Tuning(layout=layout, stacked=stacked))
    vectors = torch.stack([random_vector(op.size, i) for i in range(stacked)])
    expected = operator(model, products="double-backward").matmat(vectors)
    assert float((op.matmat(vectors) - expected).norm()) <= ROUNDING * float(expected.norm())
