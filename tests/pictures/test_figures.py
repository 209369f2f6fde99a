import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from figures import (
    density_curve,
    density_grid,
    density_panels,
    plot_accuracy,
    plot_contrast,
    plot_density,
    plot_protocols,
    plot_protocols_over_training,
    plot_trajectory,
    save_figure,
)
from spectra import Analysis, DenseOperator, InputError, LossAnalysis, decide, make_generator, slq

PROTOCOL = {"split": "train", "loss": "ce", "reduction": "mean", "images": "plain"}
LOW, HIGH, SIZE = -23.0, 60.0, 90


@pytest.fixture(scope="module")
def spectrum():
    eigenvalues = torch.randn(SIZE, generator=make_generator(0), dtype=torch.float64) * 0.05
    eigenvalues[:6] = torch.tensor([LOW, -4.0, 5.0, 11.0, 31.0, HIGH])
    noise = torch.randn(SIZE, SIZE, generator=make_generator(1), dtype=torch.float64)
    basis, _ = torch.linalg.qr(noise)
    matrix = basis @ torch.diag(eigenvalues) @ basis.T
    op = DenseOperator((matrix + matrix.T) / 2)
    return slq(op, num_probes=2, num_steps=40, generator=make_generator(2))


@pytest.fixture
def record(spectrum):
    def build(label="8", *, low=LOW, high=HIGH, n=50, grad_norm=0.5, converged=True, classes=None):
        verdict = decide(
            lambda_min=low,
            lambda_max=high,
            grad_norm=grad_norm,
            converged=converged,
            largest_converged=converged,
        )
        return LossAnalysis(
            label=label, classes=classes or ((int(label),) if label.isdigit() else (0, 1)), n=n,
            factor=1.0, loss=0.1, fit_accuracy=0.9, lambda_min=low, lambda_max=high,
            residual_min=0.0, residual_max=0.0, converged=converged, steps=40,
            grad_norm=grad_norm, grad_along_vmin=0.1, spectrum=spectrum, verdict=verdict,
        )  # fmt: skip

    return build


def analysis(*records, epoch=200, seed=0, **protocol):
    checkpoint = {"name": f"run-{seed}-{epoch}", "epoch": epoch, "recipe": "ce-drw", "seed": seed}
    return Analysis(checkpoint, {**PROTOCOL, **protocol}, records)


def line(axes, label):
    found = [one for one in axes.lines if one.get_label() == label]
    assert len(found) == 1, f"{len(found)} lines are labelled {label!r}"
    return found[0]


def texts(fig):
    return "\n".join(t.get_text() for ax in fig.axes for t in ax.texts)


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


def test_what_is_plotted_is_the_density_plus_the_floor_of_the_paper(spectrum):
    drawn = line(plot_density(spectrum, sigma=0.05).axes[0], "density")
    expected = spectrum.density(drawn.get_xdata(), 0.05) + 1e-7
    np.testing.assert_allclose(drawn.get_ydata(), expected, rtol=1e-12)


@pytest.mark.parametrize("sigma", [1e-300, 1e-9])
def test_a_sigma_that_no_float_can_sample_is_refused(spectrum, sigma):
    with pytest.raises(InputError, match="sigma must be at least 6e-08"):
        plot_density(spectrum, sigma=sigma)


def test_another_sigma_needs_nothing_but_the_stored_quadrature(spectrum):
    stored = replace(spectrum, probes=tuple(spectrum.probes))
    narrow, wide = (line(plot_density(stored, sigma=s).axes[0], "density") for s in (0.03, 0.3))
    assert narrow.get_ydata().max() > 2 * wide.get_ydata().max()


def test_the_axes_are_those_of_the_paper(spectrum):
    ax = plot_density(spectrum, sigma=0.05).axes[0]
    assert (ax.get_xscale(), ax.get_xlim()) == ("symlog", (-100, 100))
    assert (ax.get_yscale(), ax.get_ylim()) == ("log", (1e-7, 10))


def test_a_density_above_ten_is_not_cut_off(spectrum):
    ax = plot_density(spectrum, sigma=1e-3).axes[0]
    assert line(ax, "density").get_ydata().max() <= ax.get_ylim()[1]


def test_the_marks_stand_at_the_extremes_of_the_record(record):
    ax = plot_density(record(low=-24.5, high=61.25)).axes[0]
    assert line(ax, "λmin").get_xdata() == [-24.5]
    assert line(ax, "λmax").get_xdata() == [61.25]
    assert "λmin −24.5   λmax 61.25" in texts(ax.figure)


def test_extremes_that_did_not_converge_are_hollow_and_called_bounds(record):
    fig = plot_density(record(converged=False))
    assert line(fig.axes[0], "λmin").get_markerfacecolor() == "white"
    assert "λmin ≤ −23   λmax ≥ 60" in texts(fig)


def test_the_caption_states_smoothing_probes_steps_and_size(spectrum):
    caption = plot_density(spectrum, protocol=PROTOCOL).texts[0].get_text().replace("\u00a0", " ")
    flat = caption.replace("\n", " ")
    assert "σ = 0.0288" in flat
    assert "2 Rademacher probes × 40 Lanczos steps; P = 90" in flat
    assert "loss ce, reduction mean, plain train images" in flat


def test_panels_share_axes_and_state_numbers_and_verdict(record):
    fig = density_panels(
        analysis(record("head", low=-1.0, n=300), record("tail")), ("head", "tail")
    )
    left, right = fig.axes
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())
    for text in ("head", "300 images", "|λmin/λmax| 0.383   ‖g‖ 0.5", "saddle"):
        assert text in texts(fig)


def test_a_grid_has_a_row_for_each_result_and_a_column_for_each_label(record):
    rows = {"plain": analysis(record("0"), record("8")), "SAM": analysis(record("0"), record("8"))}
    fig = density_grid(rows, ("0", "8"))
    assert len(fig.axes) == 4
    assert "SAM, class 8" in texts(fig)


def test_a_panel_that_was_not_analyzed_names_what_was(record):
    with pytest.raises(InputError, match=r"no analysis of '9'; it holds 0, 8"):
        density_panels(analysis(record("0"), record("8")), ("9",))


@pytest.mark.parametrize(
    ("key", "value"), [("loss", "train"), ("reduction", "contribution"), ("images", "augmented")]
)
def test_results_of_different_losses_cannot_share_an_axis(record, key, value):
    one, other = analysis(record()), analysis(record(), seed=1, **{key: value})
    expected = f"{key} '{PROTOCOL[key]}' and '{value}' cannot share an axis"
    with pytest.raises(InputError, match=expected):
        density_grid({"a": one, "b": other}, ("8",))
    with pytest.raises(InputError, match=expected):
        plot_trajectory({"a": [one], "b": [other]}, labels=("8",))
    with pytest.raises(InputError, match=expected):
        plot_contrast({"a": [one], "b": [other]}, groups={"tail": (8,)})


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


def test_accuracy_is_drawn_as_the_median_over_seeds_at_the_class_size():
    runs = [[0.9, 0.4], [0.8, 0.6], [0.7, 0.5]]
    drawn = line(plot_accuracy({"ce": runs}, class_counts=(500, 5)).axes[0], "ce")
    np.testing.assert_allclose(drawn.get_xdata(), [500, 5])
    np.testing.assert_allclose(drawn.get_ydata(), [0.8, 0.5])


def test_accuracies_in_percent_are_refused():
    with pytest.raises(InputError, match="give fractions"):
        plot_accuracy({"ce": [[90.0, 40.0]]}, class_counts=(500, 5))


def protocol_row(label, protocol, ratio):
    fixed = None if "fresh" in protocol else -1.0
    return {
        "class": label, "protocol": protocol, "n": 5, "ratio": ratio, "lambda_min_at_most": fixed,
    }  # fmt: skip


def test_protocols_stand_in_the_order_asked_for():
    rows = [protocol_row("8", name, 0.1) for name in ("fresh", "plain", "frozen:2")]
    fig = plot_protocols({"run": rows}, order=("plain", "frozen:4", "fresh"))
    assert [t.get_text() for t in fig.axes[0].get_xticklabels()] == ["plain", "fresh", "frozen:2"]


def test_protocols_over_training_are_lines_filled_where_the_matrix_is_fixed():
    epochs = {
        30: [protocol_row("8", "plain", 0.1), protocol_row("8", "fresh", 0.5)],
        10: [protocol_row("8", "plain", 0.2), protocol_row("8", "fresh", None)],
        20: [protocol_row("0", "plain", 0.3)],
    }
    fig = plot_protocols_over_training(
        epochs, {"plain": "still", "fresh": "moving"}, switch_epoch=20
    )
    drawn = [
        {
            line.get_label(): (list(line.get_xdata()), list(line.get_ydata()), line.get_mfc())
            for line in ax.lines
            if line.get_label().startswith("class")
        }
        for ax in fig.axes
    ]
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["still", "moving"]
    assert drawn[0]["class 8 (5)"][:2] == ([10, 30], [0.2, 0.1])
    assert drawn[0]["class 0 (5)"][:2] == ([20], [0.3])
    assert drawn[1]["class 8 (5)"] == ([30], [0.5], "white")
    assert drawn[0]["class 8 (5)"][2] != "white"


@pytest.mark.parametrize(("runs", "lines"), [(1, [1]), (5, [5]), (7, [4, 3])])
def test_protocols_take_a_second_line_beyond_five_panels(runs, lines):
    row = {"class": "8", "n": 83, "protocol": "plain", "ratio": 0.02, "lambda_min_at_most": -1.0}
    fig = plot_protocols({f"run {k}": [row] for k in range(runs)})
    tops = [round(ax.get_position().y1, 3) for ax in fig.axes]
    assert [tops.count(top) for top in dict.fromkeys(tops)] == lines
    # The scale stands before the first panel of each line.
    assert sum(bool(ax.get_ylabel()) for ax in fig.axes) == len(lines)


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


def test_the_same_figure_gives_the_same_bytes(record, tmp_path):
    def draw(name):
        runs = [analysis(record(), epoch=e) for e in (10, 20)]
        fig = plot_trajectory({"a": runs}, labels=("8",), switch_epoch=15)
        return save_figure(fig, tmp_path / name, ("png", "pdf", "svg"))

    first, second = draw("one"), draw("two")
    assert [p.name for p in first] == ["one.png", "one.pdf", "one.svg"]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_saving_twice_does_not_move_anything(spectrum, tmp_path):
    fig = plot_density(spectrum)
    (first,), (second,) = (save_figure(fig, tmp_path / f"{k}.png") for k in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_no_file_tells_when_or_with_what_it_was_made(tmp_path):
    png, pdf, svg = save_figure(Figure(figsize=(1, 1)), tmp_path / "f", ("png", "pdf", "svg"))
    assert b"Software" not in png.read_bytes()
    assert b"CreationDate" not in pdf.read_bytes()
    assert b"dc:date" not in svg.read_bytes()


def test_a_suffix_of_the_path_chooses_the_format_and_a_dot_in_a_name_does_not(tmp_path):
    fig = Figure(figsize=(1, 1))
    assert [p.name for p in save_figure(fig, tmp_path / "a.svg")] == ["a.svg"]
    assert [p.name for p in save_figure(fig, tmp_path / "if0.01", ("png",))] == ["if0.01.png"]
    with pytest.raises(InputError, match="asks for format jpg"):
        save_figure(fig, tmp_path / "a.jpg")


def test_the_settings_of_the_user_neither_reach_a_figure_nor_are_changed(spectrum):
    import matplotlib

    with matplotlib.rc_context({"font.size": 20.0}):
        ax = plot_density(spectrum).axes[0]
        assert ax.xaxis.label.get_size() == 8
        assert matplotlib.rcParams["font.size"] == 20.0


def test_importing_figures_imports_no_matplotlib_and_drawing_no_pyplot():
    code = """if True:
        import sys, figures
        from spectra.results.recipe_row import RecipeRow
        assert "matplotlib" not in sys.modules
        figures.plot_recipe_table([RecipeRow("ce", (0,), overall=(0.5,))])
        assert "matplotlib" in sys.modules
        assert "matplotlib.pyplot" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
