"""Ends of a spectrum that a small residual does not find: none is wrong and called converged."""

import pytest
import torch
from oracles import first_output, images_and_labels
from torch import nn

from spectra import HessianOperator, extreme_eigenpairs, make_generator
from spectra.active.choose import choose_active
from spectra.active.extremes_by_active_images import extremes_by_active_images
from spectra.krylov.extremes import Extremes

SEEDS = [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 20))]


class Diagonal(nn.Module):
    """Outputs ½ Σ λ w² for every image: with it as the loss, the eigenvalues are λ."""

    def __init__(self, eigenvalues: torch.Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(len(eigenvalues)))
        self.register_buffer("eigenvalues", eigenvalues.clone())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (0.5 * (self.eigenvalues * self.w**2).sum()).expand(len(images), 1)


def with_eigenvalues(*few: float, size: int, dtype: torch.dtype = torch.float32) -> HessianOperator:
    """Return the Hessian, over 40 images, with eigenvalues ``few``; all others are 0."""
    eigenvalues = torch.cat([torch.tensor(few), torch.zeros(size - len(few))]).to(dtype)
    images, labels = images_and_labels(40)
    net = Diagonal(eigenvalues)
    return HessianOperator(net, images, labels, loss=first_output, dtype=dtype, check=False)


def is_right(found: Extremes, low: float, high: float) -> bool:
    """Say whether no end is marked converged and more than 3 % off."""
    both = zip((found.smallest, found.largest), (low, high), strict=True)
    least = 1e-3 * high
    return all(
        not pair.converged or abs(pair.value - end) <= 0.03 * max(abs(end), least)
        for pair, end in both
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("low", [-0.02, -0.005])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_vector_of_the_null_space_is_not_taken_for_the_lowest(low, dtype, seed):
    op = with_eigenvalues(1.0, 0.6, 0.3, low, size=2000, dtype=dtype)
    found = extremes_by_active_images(op, generator=make_generator(seed))
    assert is_right(found, low, 1.0)
    assert found.converged


@pytest.mark.parametrize("seed", SEEDS)
def test_nor_is_it_by_lanczos_that_stops_as_soon_as_it_may(seed):
    op = with_eigenvalues(1.0, 0.6, 0.3, -0.005, size=2000)
    found = extreme_eigenpairs(op, min_steps=1, seed=seed)
    assert is_right(found, -0.005, 1.0)
    assert found.converged


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [300, 3000])
def test_a_new_eigenvalue_away_from_a_warm_start_is_found(size, seed):
    before = with_eigenvalues(10.0, -1.0, size=size)
    old = extremes_by_active_images(before, generator=make_generator(seed))
    assert old.smallest.value == pytest.approx(-1, rel=1e-3)
    now = with_eigenvalues(10.0, -1.0, 0.0, -2.0, size=size)
    found = extremes_by_active_images(now, generator=make_generator(seed, "warm"), warm=old)
    assert is_right(found, -2.0, 10.0)
    assert found.converged


class Bent(nn.Module):
    """Outputs wᵀx + 2 u² - t of images (t, x) at w = 0, u = 0: bent along u, linear in w."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(inputs))
        self.u = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x[:, 1:] @ self.w + 2 * self.u**2 - x[:, 0])[:, None]


def half_square(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return 0.5 * outputs[:, 0] ** 2


def one_image_on_its_own(seed: int, size: int) -> tuple[HessianOperator, float, float]:
    """Return a Hessian of which one image, fitted all but perfectly, holds the largest eigenvalue.

    59 images share 200 inputs, and a few of them hold most of the error, along which u bends the
    loss downwards. The last image has an input of its own and a ten-thousandth of the error.
    """
    generator = make_generator(seed, "own inputs")
    images = torch.zeros(60, size)
    images[:59, :200] = torch.randn(59, 200, generator=generator) / 200**0.5
    images[59, size - 1] = 10.0
    targets = torch.rand(60, generator=generator) ** 8
    targets[59] = 1e-4 * targets[:59].sum()
    both = torch.cat([targets[:, None], images], 1)
    labels = torch.zeros(60, dtype=torch.int64)
    op = HessianOperator(Bent(size), both, labels, loss=half_square, check=False)
    # u: -4 Σ t / n; w: the squares of the singular values of the images, over n.
    high = torch.linalg.matrix_norm(images.double(), 2) ** 2 / 60
    return op, -4 * float(targets.double().mean()), float(high)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [300, 30_000])
def test_an_image_that_a_selection_left_out_is_found(size, seed):
    op, low, high = one_image_on_its_own(seed, size)
    assert choose_active(op.scores()).index is not None
    found = extremes_by_active_images(op, generator=make_generator(seed))
    assert is_right(found, low, high)
    assert found.converged
