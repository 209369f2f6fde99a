import numpy as np
import pytest
import torch

from spectra import InputError, NonFiniteError, image_bootstrap, make_generator
from spectra.errors import UnderflowError


def test_bootstrap_covers_the_mean_of_the_images_population():
    hits = []
    for seed in range(200):
        generator = make_generator(seed, "population")
        q = torch.randn(2, 40, generator=generator, dtype=torch.float64)
        found = image_bootstrap(
            q[0] - 1, 2 * q[1] + 8, replicates=400, generator=make_generator(seed)
        )
        hits.append(
            [
                found.smallest.lower <= -1 <= found.smallest.upper,
                found.largest.lower <= 8 <= found.largest.upper,
                found.ratio.lower <= 1 / 8 <= found.ratio.upper,
            ]
        )
    # A percentile interval of 40 normal numbers covers some 1 to 2 % less than .95; 200 draws add
    # three standard deviations of .016.
    assert (np.abs(np.mean(hits, axis=0) - 0.94) < 0.05).all()


def test_bootstrap_takes_each_image_with_its_weight():
    q = torch.tensor([[-1.0, -2.0, -3.0], [4.0, 6.0, 8.0]])
    weights = torch.tensor([2.0, 0.0, 1.0])
    found = image_bootstrap(q[0], q[1], weights, generator=make_generator(0))
    assert found.smallest.estimate == pytest.approx(-5 / 3)
    assert found.largest.estimate == pytest.approx(16 / 3)
    # The second image counts for nothing; draws are mixtures of the others.
    assert (found.smallest.lower, found.smallest.upper) == (-3.0, -1.0)


def test_bootstrap_does_not_depend_on_the_unit_of_the_weights():
    q = torch.arange(12.0).reshape(2, 6) + 1
    plain, weighed = (
        image_bootstrap(q[0], q[1], w, generator=make_generator(0))
        for w in (None, torch.ones(6) * 8)
    )
    assert plain == weighed


@pytest.mark.parametrize("weights", [torch.ones(2), -torch.ones(3), torch.zeros(3)])
def test_weights_of_images_must_fit(weights):
    with pytest.raises(InputError, match="weights"):
        image_bootstrap(torch.ones(3), torch.ones(3), weights, generator=make_generator(0))


def test_bootstrap_is_around_the_means_and_repeats_with_its_generator():
    q = torch.arange(12.0).reshape(2, 6)
    one, other = (image_bootstrap(q[0], q[1], generator=make_generator(3)) for _ in range(2))
    assert one == other
    assert (one.smallest.estimate, one.largest.estimate) == (2.5, 8.5)
    assert one.ratio.estimate == 2.5 / 8.5
    assert one.smallest.lower < 2.5 < one.smallest.upper


def test_images_that_curve_alike_leave_no_interval():
    found = image_bootstrap(
        torch.full((5,), -1.0), torch.full((5,), 4.0), generator=make_generator(0)
    )
    assert (found.ratio.lower, found.ratio.upper) == (0.25, 0.25)


@pytest.mark.parametrize("shapes", [((1,), (1,)), ((3,), (4,)), ((2, 2), (2, 2))])
def test_curvatures_must_be_two_lists_of_the_same_images(shapes):
    with pytest.raises(InputError, match="curvatures"):
        image_bootstrap(*(torch.ones(s) for s in shapes), generator=make_generator(0))


def test_images_without_curvature_are_refused():
    with pytest.raises(UnderflowError, match="no image has curvature"):
        image_bootstrap(torch.zeros(3), torch.zeros(3), generator=make_generator(0))


def test_draws_of_images_without_curvature_are_left_out_of_the_ratio():
    low, high = torch.tensor([0.0, 0.0, -1.0]), torch.tensor([0.0, 0.0, 4.0])
    ratio = image_bootstrap(low, high, generator=make_generator(0)).ratio
    assert (ratio.lower, ratio.estimate, ratio.upper) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("stray", [torch.nan, torch.inf])
def test_a_curvature_that_is_no_number_is_refused(stray):
    low, high = torch.tensor([-1.0, -2.0]), torch.tensor([3.0, stray])
    with pytest.raises(NonFiniteError, match="curvature of an image"):
        image_bootstrap(low, high, generator=make_generator(0))
