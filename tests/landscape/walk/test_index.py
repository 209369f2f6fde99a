"""What a stationary point is: named where curvature and true loss agree, else undecided."""

import pytest
import torch
from function_landscape import FunctionLandscape, quadratic

from spectra import make_generator
from spectra.landscape.network_landscape import BalancedLoss
from spectra.landscape.walk.index import Index, index_at


def index_of(around: FunctionLandscape) -> Index:
    u = torch.zeros(around.size).double()
    return index_at(BalancedLoss(around), u, reach=0.5, generator=make_generator(0))


def bulk(lowest: float, size: int = 200) -> FunctionLandscape:
    values = torch.logspace(-2, 0, size, dtype=torch.float64)
    values[0] = lowest
    return quadratic(values, torch.zeros(size).double())


@pytest.mark.parametrize(
    ("lowest", "name"),
    [
        (-0.5, "saddle"),
        (-1e-3, "saddle"),
        (-1e-5, "undecided"),
        (0.0, "undecided"),
        (1e-3, "minimum"),
        (1e-2, "minimum"),
    ],
)
def test_the_lowest_eigenvalue_decides(lowest, name):
    found = index_of(bulk(lowest))
    assert found.name == name
    if name != "undecided":
        # A Ritz value with a residual of .3 of itself: its square beside a gap of .01.
        assert found.lambda_min == pytest.approx(lowest, rel=0.1)
    assert found.lower_bound <= lowest + 1e-12


def test_a_kink_that_the_hessian_does_not_see_leaves_it_undecided():
    def bent(x):
        return x[0] ** 2 - x[1] ** 2 + 100 * x[1].abs()

    assert index_of(FunctionLandscape(bent, torch.tensor([0.0, 0.0]))).name == "undecided"


def test_curvature_that_ends_soon_is_followed_to_where_it_holds():
    def narrow(x):
        return x[0] ** 2 + 1e-4 * torch.cos(200 * x[1]) + x[1] ** 2 / 4

    found = index_of(FunctionLandscape(narrow, torch.zeros(2)))
    # ½ - 4 at 0 along y; at a fifth of R, .1, the loss rises.
    assert found.name == "saddle"
