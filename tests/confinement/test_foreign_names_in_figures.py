"""Names from a stranger's result in figures: no formulas, nothing unseen, one line that fits."""

import warnings
from dataclasses import replace

import pytest
from drawn_results import analysis, record_of
from matplotlib.text import Text

from figures import (
    density_grid,
    draw_analysis,
    plot_accuracy,
    plot_contrast,
    plot_published,
    plot_recipe_table,
    plot_trajectory,
    recipe_table_markdown,
    save_figure,
)
from figures.style.names import drawn_name
from spectra.results.recipe_rows import RecipeRow
from spectra.results.reproduction_result import ComparedRow, ComparedValue

NAMES = [
    r"$\frac{$", "$", "a$b$c", r"\$x\$", "_hidden", "   ", "", "a\nb", "\x1b[31m", "\u202eevil",
    "\ud800", "a\0b", "日本語", "\u05d0\u05d1", "x" * 20_000, "²", "9" * 5000, "{}%s",
]  # fmt: skip
# One of each kind, for the figures that take longer.
FEW = ["_hidden$", "a\nb\x1b\ud800\0$", "x" * 20_000]
a_few_names = pytest.mark.parametrize("name", FEW, ids=lambda name: ascii(name[:12]))


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def drawn(fig, tmp_path):
    (path,) = save_figure(fig, tmp_path / "figure", ("svg",))
    texts = [t.get_text() for t in fig.findobj(Text)]
    assert max(map(len, texts)) < 4000
    assert fig.get_size_inches().max() < 40
    return path.read_text("utf-8")


def of(name, *records, **rest):
    found = analysis(*records, **rest)
    return replace(found, checkpoint=replace(found.checkpoint, name=name, recipe=name))


@a_few_names
def test_a_density_takes_any_name(name, spectrum, tmp_path):
    found = of(name, record_of(spectrum, name, classes=(0,)))
    drawn(density_grid({name: found}, [name], title=name), tmp_path)
    assert draw_analysis(found, tmp_path / "pages", formats=("svg",))


@a_few_names
def test_curves_and_points_take_any_name(name, tmp_path):
    records = [record_of(None, label, classes=(0,)) for label in (name, "0")]
    runs = {name: [of(name, *records, epoch=epoch) for epoch in (10, 20)]}
    drawn(plot_trajectory(runs, labels=[name], title=name), tmp_path)
    drawn(plot_contrast(runs, groups={name: (0,)}, title=name), tmp_path)
    drawn(plot_accuracy({name: [[0.5, 0.5]]}, class_counts=(50, 5)), tmp_path)


def test_tables_take_any_name(tmp_path):
    rows = [RecipeRow(name, (0,), overall=(0.5,)) for name in NAMES]
    drawn(plot_recipe_table(rows), tmp_path)
    assert len(recipe_table_markdown(rows).splitlines()) == 4 + len(NAMES)


@a_few_names
def test_published_rows_take_any_name(name, tmp_path):
    row = ComparedRow(name, None, "run", {"overall": ComparedValue(0.5, None, 1, 0.5, None, 0.0)})
    drawn(plot_published([row], title=name, caption=name), tmp_path)


def test_dollars_are_shown_and_no_formula(tmp_path):
    runs = {"$a$": [of("$a$", record_of(None, "8"))]}
    with warnings.catch_warnings():
        svg = drawn(plot_trajectory(runs, labels=["8"], title=r"$\alpha$"), tmp_path)
    assert "mathdefault" not in svg
    assert drawn_name("$a$") == r"\$a\$"
    title = Text(text=drawn_name(r"$\frac{$"))
    assert title._preprocess_math(title.get_text()) == (r"$\frac{$", False)


def test_a_name_is_no_link_in_a_table():
    row = RecipeRow("[x](http://y)|<b>`", (0,), overall=(0.5,))
    assert r"| \[x](http://y)\|\<b>\` |" in recipe_table_markdown([row])
