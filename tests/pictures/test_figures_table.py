import pytest

from figures import plot_recipe_table, recipe_table_markdown
from spectra import InputError
from spectra.results.recipe_rows import RecipeRow

ROWS = [
    RecipeRow("CE", (0, 1), overall=(0.70, 0.72), tail=(0.5, 0.6), ratio_tail=(0.9, 0.98)),
    RecipeRow("CE|SAM", (0,), overall=(0.75,), tail=(0.7,)),
]


def test_markdown_states_mean_and_deviation_over_seeds():
    lines = recipe_table_markdown(ROWS, note="Of class 9.").splitlines()
    assert lines[0] == "| recipe | seeds | overall % | tail % | tail \\|λmin/λmax\\| |"
    assert lines[2] == "| CE | 2 | 71.0 ± 1.4 | 55.0 ± 7.1 | 0.940 ± 0.057 |"
    assert lines[3] == "| CE\\|SAM | 1 | 75.0 | 70.0 | – |"
    assert lines[-1] == "Mean ± standard deviation over seeds. Of class 9."


def test_a_small_ratio_keeps_two_digits():
    assert "0.00062" in recipe_table_markdown([RecipeRow("a", (0,), ratio_tail=(6.2e-4,))])


def test_the_drawn_table_has_the_cells_of_the_markdown():
    drawn = [t.get_text() for t in plot_recipe_table(ROWS).axes[0].texts]
    assert "71.0 ± 1.4" in drawn
    assert "CE|SAM" in drawn


def test_a_row_whose_numbers_do_not_match_its_seeds_is_refused():
    with pytest.raises(InputError, match="one value for each of the 2 seeds, got 1"):
        RecipeRow("CE", (0, 1), overall=(0.7,))


def test_a_row_in_percent_is_refused():
    with pytest.raises(InputError, match="give fractions"):
        RecipeRow("CE", (0,), overall=(71.0,))
