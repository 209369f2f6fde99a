from dataclasses import replace

import numpy as np
import pytest
from drawn_results import PROTOCOL, analysis, line, texts

from figures import (
    density_curve,
    density_grid,
    density_panels,
    plot_contrast,
    plot_density,
    plot_trajectory,
)
from spectra import InputError, ProductNoise, Spectrum, Tridiagonal, resolve

SIZE = 90


@pytest.mark.parametrize("sigma", [0.005, 0.03, 2.0])
def test_the_sampled_density_integrates_to_one(spectrum, sigma):
    x, y = density_curve(spectrum, sigma)
    # Trapezoids five to a standard deviation are exact to rounding; 7σ cuts off 3e-12.
    assert np.trapezoid(y, x) == pytest.approx(1.0, abs=1e-9)


def test_the_curve_reaches_the_peak_of_an_isolated_eigenvalue(spectrum):
    sigma = 0.01
    peaks = spectrum.nodes[[0, -1]]
    x, y = density_curve(spectrum, sigma)
    for peak, expected in zip(peaks, spectrum.density(peaks, sigma), strict=True):
        near = y[np.abs(x - peak) < sigma]
        # Half a step of σ/5 beside the peak: exp(-0.1² / 2) = 0.995.
        assert near.max() == pytest.approx(expected, rel=6e-3)


def caption(figure):
    texts = [t.get_text() for t in figure.texts if t.get_text().endswith(".")]
    return texts[0].replace("\u00a0", " ").replace("\n", " ")


def plotted(axes):
    """Return where the curve has paint, and how high."""
    drawn = line(axes, "density")
    x, y = np.asarray(drawn.get_xdata()), np.asarray(drawn.get_ydata())
    return x[np.isfinite(y)], y[np.isfinite(y)]


def test_what_is_plotted_is_the_density_of_the_rest_plus_the_floor_of_the_paper(spectrum):
    x, y = plotted(plot_density(spectrum, sigma=0.05).axes[0])
    expected = resolve(spectrum).rest_density(x, 0.05) + 1e-7
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_the_summed_curve_of_older_figures_is_there_when_asked_for(spectrum):
    figure = plot_density(spectrum, sigma=0.05, summed=True)
    x, y = plotted(figure.axes[0])
    np.testing.assert_allclose(y, spectrum.density(x, 0.05) + 1e-7, rtol=1e-12)
    assert "Stems" not in caption(figure)


def test_each_resolved_eigenvalue_is_a_stem_as_high_as_its_gaussian(spectrum):
    found = resolve(spectrum)
    stems = line(plot_density(spectrum, sigma=0.05).axes[0], "resolved")
    np.testing.assert_array_equal(stems.get_xdata(), found.values)
    height = 1 / (SIZE * 0.05 * np.sqrt(2 * np.pi)) + 1e-7
    np.testing.assert_allclose(stems.get_ydata(), height, rtol=1e-12)


def test_the_caption_says_what_is_resolved_and_ticks_where_it_ends(spectrum):
    found, figure = resolve(spectrum), plot_density(spectrum)
    assert "Stems: resolved eigenvalues, 1/P each" in caption(figure)
    (edges,) = [c for c in figure.axes[0].collections if c.get_label() == "edges"]
    assert [path[0][0] for path in edges.get_segments()] == list(found.rest_ends)


def test_there_is_no_paint_beyond_the_extremes(record):
    one = record(low=-0.1, high=0.08)
    x, _ = plotted(plot_density(one, sigma=0.05).axes[0])
    assert (x[0], x[-1]) == (-0.1, 0.08)


def test_draws_that_change_have_no_resolved_eigenvalues(record):
    noise = ProductNoise(alpha_over_beta=1.0, asymmetry=0.1)
    assert "Stems" not in caption(plot_density(replace(record(), noise=noise)))


@pytest.mark.parametrize("sigma", [1e-300, 1e-9])
def test_a_sigma_that_no_float_can_sample_is_refused(spectrum, sigma):
    with pytest.raises(InputError, match="sigma must be at least 6e-08"):
        plot_density(spectrum, sigma=sigma)


def test_another_sigma_needs_nothing_but_the_stored_quadrature(spectrum):
    stored = replace(spectrum, probes=tuple(spectrum.probes))
    narrow, wide = (plotted(plot_density(stored, sigma=s).axes[0])[1] for s in (0.03, 0.3))
    assert narrow.max() > 2 * wide.max()


def test_the_axes_are_those_of_the_paper(spectrum):
    ax = plot_density(spectrum, sigma=0.05).axes[0]
    assert (ax.get_xscale(), ax.get_xlim()) == ("symlog", (-100, 100))
    assert (ax.get_yscale(), ax.get_ylim()) == ("log", (1e-7, 10))


def test_a_density_above_ten_is_not_cut_off(spectrum):
    ax = plot_density(spectrum, sigma=1e-3).axes[0]
    assert plotted(ax)[1].max() <= ax.get_ylim()[1]


def test_the_marks_stand_at_the_extremes_of_the_record(record):
    ax = plot_density(record(low=-24.5, high=61.25)).axes[0]
    assert line(ax, "λmin").get_xdata() == [-24.5]
    assert line(ax, "λmax").get_xdata() == [61.25]
    assert "λmin −24.5, λmax 61.2" in texts(ax.figure)


def test_extremes_that_did_not_converge_are_hollow_and_called_bounds(record):
    fig = plot_density(record(converged=False))
    assert line(fig.axes[0], "λmin").get_markerfacecolor() == "white"
    assert "λmin ≤ −23, λmax ≥ 60" in texts(fig)


def test_the_caption_states_smoothing_probes_steps_and_size(spectrum):
    flat = caption(plot_density(spectrum, protocol=PROTOCOL))
    assert "σ = 0.0288" in flat
    assert "2 Rademacher probes × 40 Lanczos steps; P = 90" in flat
    assert "loss ce, reduction mean, plain train images" in flat


def test_panels_share_axes_and_the_caption_states_verdicts(record):
    one = analysis(record("head", low=-1.0, n=300), record("tail", converged=False))
    fig = density_panels(one, ("head", "tail"))
    left, right = fig.axes
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["head (300)", "tail (50)"]
    assert [ax.texts[0].get_text() for ax in fig.axes] == [
        "λmin −1, λmax 60",
        "λmin ≤ −23, λmax ≥ 60",
    ]
    assert caption(fig).endswith("Verdicts: negative curvature: head; undecided: tail.")


def test_a_grid_has_a_row_for_each_result_and_a_column_for_each_label(record):
    rows = {"plain": analysis(record("0"), record("8")), "SAM": analysis(record("0"), record("8"))}
    fig = density_grid(rows, ("0", "8"))
    assert len(fig.axes) == 4
    assert fig.axes[3].get_title(loc="left") == "SAM, class 8 (50)"


def test_a_panel_that_was_not_analyzed_names_what_was(record):
    with pytest.raises(InputError, match=r"no analysis of '9'; it holds 0, 8"):
        density_panels(analysis(record("0"), record("8")), ("9",))


def test_results_by_different_parameters_cannot_share_an_axis(record):
    one, other = analysis(record()), analysis(record(), parameters=("layer3", "fc"))
    with pytest.raises(InputError, match="parameters all and layer3 fc cannot share an axis"):
        density_grid({"a": one, "b": other}, ("8",))


@pytest.mark.parametrize(
    ("key", "value"), [("loss", "train"), ("reduction", "contribution"), ("images", "augmented")]
)
def test_results_of_different_losses_cannot_share_an_axis(record, key, value):
    one, other = analysis(record()), analysis(record(), seed=1, **{key: value})
    expected = f"{key} '{getattr(PROTOCOL, key)}' and '{value}' cannot share an axis"
    with pytest.raises(InputError, match=expected):
        density_grid({"a": one, "b": other}, ("8",))
    with pytest.raises(InputError, match=expected):
        plot_trajectory({"a": [one], "b": [other]}, labels=("8",))
    with pytest.raises(InputError, match=expected):
        plot_contrast({"a": [one], "b": [other]}, groups={"tail": (8,)})


def test_ends_that_carry_no_mass_are_crossed_and_said(spectrum):
    t = Tridiagonal(np.array([0.0, -9.0, 9.0]), np.array([1e-10, 1e-10]), 0.1, closed=False)
    figure = plot_density(Spectrum((t,), 1000))
    crosses = [one for one in figure.axes[0].lines if one.get_label() == "no mass"]
    assert [float(one.get_xdata()[0]) for one in crosses] == pytest.approx([-9.0, 9.0])
    assert "Crosses: nodes that carry no mass" in caption(figure)
    fine = plot_density(spectrum)
    assert "no mass" not in caption(fine) + "".join(one.get_label() for one in fine.axes[0].lines)
