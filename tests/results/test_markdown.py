"""Results as tables of GitHub-flavoured Markdown."""

import re
from dataclasses import replace

import pytest
from drawn_results import analysis, record_of
from markdown_it import MarkdownIt

from cli.display.tables import Table
from spectra.results.said.markdown import markdown_table


def cells(text: str) -> list[list[str]]:
    """Return the cells of the only table, as a reader of GitHub's Markdown has them."""
    page = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert page.count("<table>") == 1
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]


def test_a_result_is_a_table_whose_cells_are_read_back():
    found = analysis(record_of(None, "8"), record_of(None, "tail", low=-0.5))
    head, *rows = cells(found.to_markdown())
    assert head == ["class", "n", "right %", "λmin", "λmax", "|λmin/λmax|", "verdict"]
    assert rows == [
        ["8", "50", "90.0", "-23", "60", "0.383", "negative curvature"],
        ["tail", "50", "90.0", "-0.5", "60", "0.00833", "negative curvature"],
    ]
    assert found.to_markdown().startswith("**run-0-200, epoch 200 (loss ce, plain train images)**")


@pytest.mark.parametrize(
    "name", ["a|b", "a\\|b", "<script>", "`x`", "*x*", "[x](http://y)", "a\n|b", "~~x~~", "a_b_c"]
)
def test_names_of_foreign_files_open_no_cell_and_mean_nothing(name):
    record = replace(record_of(None), label=name)
    shown = cells(analysis(record).to_markdown())[1][0]
    plain = name.replace("\n", " ").replace("<", "&lt;").replace(">", "&gt;")
    assert shown == plain


def test_columns_of_numbers_are_aligned_to_the_right():
    text = markdown_table(["class", "λmin"], [["8", "≤-3"], ["tail", "-"]])
    assert text.splitlines()[1] == "| --- | ---: |"


def test_a_table_has_its_title_all_columns_and_its_legend_below():
    table = Table(
        "|λ| of mine",
        ["class", "ρ*"],
        [["8", "3.5"]],
        optional=["ρ*"],
        meanings={"ρ*": "2‖g‖/|λmin|"},
        words=["none: no negative curvature"],
        unusual=["class 8 has 2 images."],
    )
    assert table.markdown().splitlines() == [
        r"**\|λ\| of mine**", "",
        "| class | ρ\\* |", "| ---: | ---: |", "| 8 | 3.5 |", "",
        r"- ρ\*: 2‖g‖/\|λmin\|", "- none: no negative curvature", "- class 8 has 2 images.",
    ]  # fmt: skip
