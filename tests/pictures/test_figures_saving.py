import subprocess
import sys

import pytest
from drawn_results import analysis
from matplotlib.figure import Figure

from figures import plot_density, plot_trajectory, save_figure
from spectra import InputError


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
        from spectra.results.recipe_rows import RecipeRow
        assert "matplotlib" not in sys.modules
        figures.plot_recipe_table([RecipeRow("ce", (0,), overall=(0.5,))])
        assert "matplotlib" in sys.modules
        assert "matplotlib.pyplot" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
