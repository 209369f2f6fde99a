import numpy as np
import pytest
from drawn_results import analysis, line

from figures import plot_accuracy, plot_contrast
from spectra import InputError


def test_accuracy_is_drawn_as_the_median_over_seeds_at_the_class_size():
    runs = [[0.9, 0.4], [0.8, 0.6], [0.7, 0.5]]
    drawn = line(plot_accuracy({"ce": runs}, class_counts=(500, 5)).axes[0], "ce")
    np.testing.assert_allclose(drawn.get_xdata(), [500, 5])
    np.testing.assert_allclose(drawn.get_ydata(), [0.8, 0.5])


def test_accuracies_in_percent_are_refused():
    with pytest.raises(InputError, match="give fractions"):
        plot_accuracy({"ce": [[90.0, 40.0]]}, class_counts=(500, 5))


def test_the_contrast_draws_every_class_of_every_seed(record):
    ratios = {(c, s): 0.1 + 0.1 * c + 0.01 * s for c in (0, 1, 8, 9) for s in (0, 1, 2)}
    runs = [
        analysis(*(record(str(c), low=-10 * ratios[c, s], high=10.0) for c in (0, 1, 8, 9)), seed=s)
        for s in (2, 0, 1)
    ]
    fig = plot_contrast({"ce": runs}, groups={"head": (0, 1), "tail": (8, 9)})
    points = [one for one in fig.axes[0].lines if one.get_marker() in "o^" and len(one.get_xdata())]
    drawn = sorted(float(y) for one in points for y in one.get_ydata())
    assert drawn == pytest.approx(sorted(ratios.values()))


def test_the_groups_of_the_contrast_come_from_the_group_records(record):
    head, tail = record("head", classes=(0,)), record("tail", classes=(8,))
    fig = plot_contrast({"ce": [analysis(record("0"), record("8"), head, tail)]})
    labels = [t.get_text() for t in fig.legends[0].get_texts()]
    assert labels == ["head (class 0)", "tail (class 8)"]
