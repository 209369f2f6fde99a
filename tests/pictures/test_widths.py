"""Figures for a column of a paper: their size, their fonts, and headers that stay apart."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from drawn_results import analysis, record_of
from matplotlib.text import Text

from figures import (
    best_steps_pages,
    density_pages,
    plot_accuracy,
    plot_class_outliers,
    plot_contrast,
    plot_overlaps,
    plot_protocols,
    plot_published,
    plot_trajectory,
    save_figure,
    theorem_pages,
    trajectory_pages,
)
from figures.style.page import headers_of
from figures.style.sheet import PANELS, SMALLEST_FONT
from spectra import InputError
from spectra.results.claims.best_steps_result import load_best_steps
from spectra.results.claims.class_outliers_result import load_class_outliers
from spectra.results.directions.theorem_result import load_theorem
from spectra.results.protocol_rows import ProtocolRow
from spectra.results.reproduction_result import ComparedRow, ComparedValue

STUDY = Path(__file__).parents[2] / "docs/study/claims/digits"
LONG = "ce-drw-then-sam-with-a-radius-of-a-tenth"


def every_figure(record, width):
    """Return a figure of each kind that a paper takes, with names that are too long."""
    records = [replace(record(str(c)), overlaps=(0.9, 0.1)) for c in (0, 8)]
    runs = {LONG: [analysis(*records, epoch=e) for e in (10, 200)], "ce": [analysis(*records)]}
    last = {name: found[-1] for name, found in runs.items()}
    row = ProtocolRow(
        label="8", protocol="frozen:16", n=5, loss=0.1, lambda_min=-1.0, residual_min=None,
        lambda_max=1.0, ratio=0.1, lambda_min_at_most=-1.0, verdict="", grad_norm=0.1,
        alpha_over_beta=None, asymmetry=None,
    )  # fmt: skip
    value = ComparedValue(70.0, None, 1, 71.7, 0.1, -1.7)
    return [
        *density_pages(last, ["0", "8"], title=LONG * 4, width=width),
        plot_trajectory(runs, labels=["0", "8"], switch_epoch=160, width=width),
        plot_overlaps(runs, labels=["0", "8"], width=width),
        plot_contrast({n: [a] for n, a in last.items()}, groups={"tail": (8,)}, width=width),
        plot_protocols({LONG: [row], "ce": [row]}, width=width),
        plot_accuracy({LONG: [[0.9, 0.4]]}, class_counts=(500, 5), width=width),
        plot_published([ComparedRow("ce", None, "run", {"overall": value})], width=width),
        plot_class_outliers(load_class_outliers(STUDY / "ce-papyan2020.json"), width=width),
        *best_steps_pages(load_best_steps(STUDY / "ce-alain2019.json"), width=width),
        *theorem_pages(load_theorem(STUDY.parents[1] / "theorem" / "theorem.json"), width=width),
    ]


@pytest.fixture(scope="module")
def drawn(spectrum):
    """Every figure at the width that has the least room."""
    return every_figure(partial(record_of, spectrum), "single")


def test_a_figure_for_paper_is_as_wide_as_the_column_and_can_be_read(drawn):
    for figure in drawn:
        assert figure.get_size_inches()[0] == 3.25
        assert min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text()) >= SMALLEST_FONT
        lines = [line for ax in figure.axes for line in ax.lines if line.get_linestyle() != "None"]
        # Printers lose what is thinner.
        assert min((line.get_linewidth() for line in lines), default=1) >= 0.5


def test_no_header_reaches_into_the_next_panel_and_no_label_over_the_edge(drawn):
    for figure in drawn:
        boxes = [[t.get_window_extent() for t in headers_of(ax)] for ax in figure.axes]
        for k, some in enumerate(boxes):
            others = [box for j, more in enumerate(boxes) if j != k for box in more]
            assert not any(box.overlaps(other) for box in some for other in others)
        labels = [label for ax in figure.axes for label in (ax.xaxis.label, ax.yaxis.label)]
        every = [t.get_window_extent() for t in (*labels, *figure.texts) if t.get_text()]
        every += [box for some in boxes for box in some]
        width, height = figure.bbox.width, figure.bbox.height
        # A pixel for rounding; at 200 to the inch nobody sees it.
        assert all(box.x0 >= -1 and box.x1 <= width + 1 for box in every)
        assert all(box.y0 >= -1 and box.y1 <= height + 1 for box in every)


def test_the_caption_of_a_figure_for_paper_is_a_file_beside_it(record, tmp_path):
    (figure,) = density_pages({"": analysis(record())}, ["8"], width="single")
    *_, caption = save_figure(figure, tmp_path / "density")
    assert caption.name == "density.txt"
    assert "σ\u00a0=\u00a00.0288" in caption.read_text("utf-8")
    assert "σ" not in "".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize("width", ["screen", "single"])
def test_head_stands_against_tail_on_pages_of_the_same_axes_and_smoothing(record, width):
    spread = [record(str(c), low=-0.01 * 4**c, high=0.5 * 2**c) for c in range(10)]
    head, rest = density_pages({"": analysis(*spread)}, [str(c) for c in range(10)], width=width)
    titles = [ax.get_title(loc="left") for ax in head.axes]
    expected = (0, 1, 2, 7, 8, 9) if width == "screen" else (0, 7, 1, 8, 2, 9)
    assert titles == [f"class {c} (50)" for c in expected]
    panels = [*head.axes, *rest.axes]
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in panels}) == 1
    stems = [line for ax in panels for line in ax.lines if line.get_label() == "resolved"]
    # A stem is as high as a Gaussian of width σ, and so says which σ it is.
    assert len({line.get_ydata()[0] for line in stems}) == 1
    assert max(len(page.axes) for page in (head, rest)) <= PANELS


def test_figures_that_lie_beside_each_other_have_the_axes_of_both(record):
    small, large = analysis(record(high=0.5, low=-0.1)), analysis(record(high=900.0))
    (alone,) = density_pages({"a": small}, ["8"])
    (shared,) = density_pages({"a": small}, ["8"], beside=[large])
    (other,) = density_pages({"b": large}, ["8"])
    assert shared.axes[0].get_xlim() == other.axes[0].get_xlim() != alone.axes[0].get_xlim()


def test_trajectories_of_many_recipes_take_pages_of_one_axis(record):
    ratios = [0.9, *[0.01] * PANELS]
    runs = {f"r{k}": [analysis(record(low=-r, high=1.0))] for k, r in enumerate(ratios)}
    pages = trajectory_pages(runs, labels=["8"])
    assert [len(page.axes) for page in pages] == [6, 1]
    assert len({(ax.get_yscale(), ax.get_ylim()) for page in pages for ax in page.axes}) == 1


def test_a_page_of_a_theorem_has_the_lines_of_the_classes_on_other_pages():
    stored = load_theorem(STUDY.parents[1] / "theorem" / "theorem.json")
    first, second = theorem_pages(replace(stored, classes=stored.classes * 2))
    assert [len(first.axes), len(second.axes)] == [PANELS, 2]
    assert len(second.axes[1].get_legend_handles_labels()[1]) == len(stored.classes)


def test_more_panels_than_a_page_holds_and_widths_of_no_column_are_refused(record):
    one = analysis(*(record(str(c)) for c in range(7)))
    with pytest.raises(InputError, match="a page holds 6 panels"):
        plot_trajectory({f"r{k}": [one] for k in range(7)}, labels=["0"])
    assert plot_trajectory({"r": [one]}, labels=["0"], width="double").get_size_inches()[0] == 6.75
    with pytest.raises(InputError, match="width must be one of screen, single, double, got 'a4'"):
        plot_trajectory({"r": [one]}, labels=["0"], width="a4")
