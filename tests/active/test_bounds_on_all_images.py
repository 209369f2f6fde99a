import pytest
import torch
from test_density_by_active_images import fitted

from spectra import HessianOperator, make_generator
from spectra.active.extremes_by_active_images import extremes_by_active_images


@pytest.mark.parametrize("kind", ["smooth_mlp", "mlp_bn"])
def test_bounds_of_a_float32_run_allow_for_its_rounding_and_little_more(kind):
    model, images, labels = fitted(kind, 0)
    bounds, largest = [], 0.0
    for dtype in (torch.float32, torch.float64):
        # So few images are not selected from.
        op = HessianOperator(model, images[:10], labels[:10], dtype=dtype, check=False)
        found = extremes_by_active_images(op, generator=make_generator(0))
        bounds.append(found.outer_bounds)
        largest = found.largest.value
    single, double = bounds
    # The products are wrong by some 1e-6; the runs may end a step apart.
    assert single.below == pytest.approx(double.below, abs=0.01 * largest)
    assert single.above == pytest.approx(double.above, abs=0.01 * largest)
