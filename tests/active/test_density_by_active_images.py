import functools

import numpy as np
import pytest
import torch
from oracles import build_net, dense_hessian, images_and_labels, train
from scipy.stats import wasserstein_distance

from spectra import HessianOperator, InputError, make_generator
from spectra.active.density_by_active_images import density_by_active_images, distance_bound

DOUBLE = torch.float64
SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 10))]


@functools.cache
def fitted(kind: str, seed: int, n: int = 90, steps: int = 150):
    """Return a net with most images fitted, a few not: half its labels follow the net itself."""
    images, labels = images_and_labels(n, seed=seed)
    model = train(build_net(kind), images[:12], labels[:12], steps=steps, lr=0.2).eval()
    with torch.no_grad():
        outputs = model(images)
        labels = torch.cat([labels[:12], outputs[12:].argmax(1)])
        head = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
        head.weight.mul_(6)  # far from every decision boundary, images are fitted all the way
        head.bias.mul_(6)
    return model, images, labels


@functools.cache
def spectrum_of(kind: str, seed: int):
    model, images, labels = fitted(kind, seed)
    return torch.linalg.eigvalsh(dense_hessian(model, images, labels))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["conv_resnet", "smooth_mlp"])
def test_the_bound_holds_against_the_dense_spectra(kind, seed):
    model, images, labels = fitted(kind, seed)
    op = HessianOperator(model, images, labels, dtype=DOUBLE, check=False)
    scores = op.scores()
    order = scores.argsort(descending=True)
    whole = spectrum_of(kind, seed)
    size = 30
    kept, rest = order[:size], order[size:]
    bound = distance_bound(op.over_images(rest), generator=make_generator(seed, size))
    part = torch.linalg.eigvalsh(
        dense_hessian(model, images[kept], labels[kept]) * size / len(labels)
    )
    # Equal numbers of eigenvalues: the distance is the mean gap of the sorted ones.
    assert float((whole - part).abs().mean()) <= bound
    assert wasserstein_distance(whole.numpy(), part.numpy()) <= bound


def test_active_images_serve_where_the_rest_is_fitted_and_the_bound_is_small():
    model, images, labels = fitted("conv_resnet", 0)
    op = HessianOperator(model, images, labels, dtype=DOUBLE, check=False)
    spectrum, bound = density_by_active_images(
        op, num_probes=2, num_steps=op.size, generator=make_generator(0, "density")
    )
    assert 0 < bound.images < 0.6 * len(labels)
    assert 0 < bound.relative <= 0.1
    assert abs(spectrum.weights.sum() - 1) <= 1e-12


def test_all_images_serve_where_none_is_fitted():
    images, labels = images_and_labels(40)
    op = HessianOperator(build_net("smooth_mlp").eval(), images, labels, dtype=DOUBLE, check=False)
    _, bound = density_by_active_images(op, num_probes=1, num_steps=20, generator=make_generator(0))
    assert (bound.images, bound.distance) == (40, 0.0)


def test_a_bound_that_is_too_large_sends_the_density_back_to_all_images():
    model, images, labels = fitted("conv_resnet", 1)
    op = HessianOperator(model, images, labels, dtype=DOUBLE, check=False)
    _, bound = density_by_active_images(
        op, num_probes=1, num_steps=20, generator=make_generator(0), allowed=1e-12
    )
    assert (bound.images, bound.distance) == (len(labels), 0.0)


def test_the_bound_fails_no_more_often_than_it_says_for_a_matrix_of_rank_one():
    # The worst case: ‖B z‖² is one χ²_1 variable; of 400 trials at .05, 20 ± 4.4 fail: 38 is 4 sd.
    class RankOne:
        size, device, dtype = 50, torch.device("cpu"), DOUBLE

        def matmat(self, v):
            u = torch.zeros(50, dtype=DOUBLE)
            u[3] = 1.0
            return (v @ u)[:, None] * u

    true = 1 / np.sqrt(50)
    failures = sum(
        distance_bound(RankOne(), generator=make_generator(i, "rank one")) < true
        for i in range(400)
    )
    assert 2 <= failures <= 38


def test_numbers_out_of_range_are_refused():
    model, images, labels = fitted("smooth_mlp", 0, n=20, steps=5)
    op = HessianOperator(model, images, labels, dtype=DOUBLE, check=False)
    with pytest.raises(InputError, match="out of range"):
        distance_bound(op, num_probes=0, generator=make_generator(0))
