import pytest
from drawn_results import analysis, line, texts

from figures import plot_trajectory
from spectra import InputError


def test_the_trajectory_is_the_median_of_the_ratios_at_rising_epochs(record):
    ratios = {(10, 0): 0.1, (10, 1): 0.2, (10, 2): 0.4, (5, 0): 0.3, (5, 1): 0.3, (5, 2): 0.9}
    runs = [
        analysis(record(low=-10 * r, high=10.0), epoch=e, seed=s) for (e, s), r in ratios.items()
    ]
    drawn = line(plot_trajectory({"a": runs}, labels=("8",)).axes[0], "class 8 (50)")
    assert list(drawn.get_xdata()) == [5, 10]
    assert list(drawn.get_ydata()) == pytest.approx([0.3, 0.2])


def test_the_dashed_line_stands_at_the_switch_in_every_panel(record):
    runs = [analysis(record(), epoch=e) for e in (10, 160, 200)]
    fig = plot_trajectory({"a": runs, "b": runs}, labels=("8",), switch_epoch=160)
    for ax in fig.axes:
        assert list(line(ax, "switch").get_xdata()) == [160, 160]
        assert line(ax, "switch").get_linestyle() == "--"
    assert "DRW from 160" in texts(fig)


def test_a_point_that_did_not_converge_is_hollow(record):
    runs = [analysis(record(converged=e != 20), epoch=e) for e in (10, 20, 30)]
    hollow = line(plot_trajectory({"a": runs}, labels=("8",)).axes[0], "not converged")
    assert list(hollow.get_xdata()) == [20]
    assert hollow.get_markerfacecolor() == "white"


@pytest.mark.parametrize(
    ("ratio", "scale", "top"), [(0.99, "linear", 1.0197), (0.31, "linear", 1), (0.03, "log", 1)]
)
def test_small_ratios_alone_get_a_log_axis_up_to_one(record, ratio, scale, top):
    runs = [analysis(record(low=-10 * ratio, high=10.0))]
    ax = plot_trajectory({"a": runs}, labels=("8",)).axes[0]
    assert ax.get_yscale() == scale
    assert ax.get_ylim()[1] == pytest.approx(top)


def test_two_results_of_one_epoch_and_seed_are_refused(record):
    with pytest.raises(InputError, match="two results of epoch 200, seed 0"):
        plot_trajectory({"a": [analysis(record()), analysis(record())]}, labels=("8",))
