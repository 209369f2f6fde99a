"""What is written of a result at an epoch."""

import numpy as np
import pytest

from checkpoints.training.evaluation import ClassMetrics, EpochMetrics
from spectra import InputError
from spectra.results.writers.open_writers import check_places, writing_to
from spectra.results.writers.values import CURVES, DensityHistogram, EpochValues


def test_every_curve_of_every_loss_has_a_tag_and_unknown_numbers_have_none(found):
    values = EpochValues.of(found)
    assert values.epoch == 200
    assert values.numbers["lambda_min/8"] == -23.0
    assert values.numbers["accuracy/8"] == 0.25
    assert "accuracy/tail" not in values.numbers
    assert {tag.partition("/")[0] for tag in values.numbers} <= set(CURVES)
    assert list(values.densities) == ["density/8"]


def test_a_histogram_holds_all_eigenvalues_and_their_trace(density):
    histogram = DensityHistogram.of(density)
    # 50 eigenvalues and 50 times vᵀHv = 1, up to the rounding of some float64 sums.
    np.testing.assert_allclose(histogram.counts.sum(), 50, rtol=1e-13)
    np.testing.assert_allclose(histogram.total, 50 * 1.0, rtol=1e-13)
    assert (np.diff(histogram.edges) > 0).all()


def test_the_ends_of_a_density_lie_in_bins_of_their_own_sign(density):
    histogram = DensityHistogram.of(density)
    nodes = density.probes[0].ritz_values()
    filled = histogram.edges[:-1][histogram.counts > 0]
    assert filled.min() <= nodes[0] < 0
    assert filled.max() <= np.abs(nodes).max()


def test_an_epoch_of_training_writes_loss_and_accuracy_of_every_class():
    test = ClassMetrics(accuracy=(0.5, None), loss=(1.5, None), overall=0.5)
    values = EpochMetrics(3, 0.1, 0.7, 0.8, test).values()
    assert values.epoch == 3
    assert values.numbers == {
        "train/loss": 0.7, "train/accuracy": 0.8, "train/lr": 0.1, "test/accuracy": 0.5,
        "accuracy/0": 0.5, "test_loss/0": 1.5,
    }  # fmt: skip


@pytest.mark.parametrize("place", ["tensorboard", "tensorboard:", "mlflow:x", ""])
def test_a_place_that_reads_otherwise_is_refused(place):
    with pytest.raises(InputError, match="tensorboard:DIR or wandb:PROJECT, got"):
        check_places([place])


def test_no_place_writes_nothing(found):
    with writing_to((), "mine") as writer:
        writer.write(found)
