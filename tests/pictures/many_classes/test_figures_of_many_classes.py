"""Figures of many classes: which are drawn, and of what."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_results import analysis, record_of

from figures import draw_analysis, draw_trajectories, plot_classes_by_size
from figures.many_classes.by_size import bands_by_size
from figures.many_classes.over_training import plot_groups_over_training
from spectra import InputError
from spectra.results.groups.many import MANY
from spectra.results.provenance import ClassGroup

HEAD, TAIL = tuple(range(MANY)), tuple(range(MANY, MANY + 60))
COUNTS = tuple(300 - c for c in range(MANY + 60))


def found(*, epoch=200, counts=COUNTS, lows=lambda c: -1.0 - c):
    records = [record_of(None, str(c), low=lows(c), high=1000.0) for c in (*HEAD, *TAIL)]
    groups = (ClassGroup("many", HEAD), ClassGroup("few", TAIL))
    one = analysis(*records, class_groups=groups, epoch=epoch)
    return replace(one, checkpoint=replace(one.checkpoint, class_counts=counts))


def points(axes):
    """Return the points of an axis by the beginning of their label."""
    return {
        one.get_label().split()[0]: np.asarray(one.get_offsets())
        for one in axes.collections
        if "(" in str(one.get_label())
    }


def test_every_class_is_a_point_at_its_size_in_the_colour_of_its_group():
    ratios, lows = plot_classes_by_size(found()).axes
    assert points(lows)["many"].tolist() == [[300 - c, -1.0 - c] for c in HEAD]
    assert points(ratios)["few"].tolist() == [[300 - c, (1 + c) / 1000] for c in TAIL]
    colours = {tuple(one.get_facecolor()[0][:3]) for one in lows.collections[:2]}
    assert len(colours) == 2


def test_classes_of_one_size_lie_over_their_numbers_and_have_no_band():
    ratios, _ = plot_classes_by_size(found(counts=(20,) * len(COUNTS))).axes
    assert points(ratios)["many"][:, 0].tolist() == list(HEAD)
    assert ratios.get_xlabel() == "class, of 20 training images each"
    assert not ratios.lines


def test_a_ratio_of_zero_has_no_place_on_a_log_axis_and_is_counted():
    fig = plot_classes_by_size(found(lows=lambda c: -1.0 if c else 0.0))
    assert len(points(fig.axes[0])["many"]) == len(HEAD) - 1
    assert "1 without a ratio above 0" in " ".join(
        " ".join(t.get_text().split()) for t in fig.texts
    )


def test_bands_hold_classes_of_about_one_size_and_all_of_them():
    sizes = [5] * 90 + list(range(6, 300))
    bands = bands_by_size(sizes, np.arange(len(sizes)))
    assert sum(band.classes for band in bands) == len(sizes)
    assert bands[0].classes == 90
    assert min(band.classes for band in bands) >= 25
    assert (bands[0].low, bands[0].median, bands[0].high) == pytest.approx((8.9, 44.5, 80.1))
    assert bands_by_size([1, 2, 3], [0.1, 0.2, 0.3]) == []


@pytest.mark.parametrize(("label", "drawn"), [("100", []), ("259", ["density.svg"])])
def test_many_classes_get_one_figure_and_densities_of_those_at_the_ends(
    record, tmp_path, label, drawn
):
    one = found()
    density = record(label).spectrum
    records = [replace(r, spectrum=density if r.label == label else None) for r in one.records]
    written = draw_analysis(replace(one, records=tuple(records)), tmp_path, formats=("svg",))
    assert [path.name for path in written] == ["classes.svg", *drawn]


def test_a_trajectory_of_many_classes_has_a_line_and_a_band_for_each_group(tmp_path):
    series = {"ce": [found(epoch=200, lows=lambda c: -2.0 - c), found(epoch=100)]}
    (panel,) = plot_groups_over_training(series).axes
    many = next(one for one in panel.lines if one.get_label() == "many (200 classes)")
    assert many.get_xdata().tolist() == [100, 200]
    assert many.get_ydata() == pytest.approx([0.1005, 0.1015])
    assert len(panel.collections) == 2
    assert [path.name for path in draw_trajectories(series, tmp_path, formats=("svg",))] == [
        "trajectory.svg"
    ]


def test_two_results_of_one_epoch_are_refused():
    with pytest.raises(InputError, match="two results of epoch 200"):
        plot_groups_over_training({"ce": [found(), found()]})
