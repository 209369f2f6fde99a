"""Foreign text as a person is shown it."""

import pytest

from spectra.system.foreign_text import printable, short_name, short_words, spreadsheet_cell


@pytest.mark.parametrize(
    "text",
    ["ce-drw", "class 8", "Größe 3·10⁻⁴", "日本語", "|λmin/λmax| ≤ 1", "P\u00a0=\u00a03", ""],
)
def test_plain_text_stays_as_it_is(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("\x1b]8;;http://x\x07y", r"\x1b]8;;http://x\x07y"),
        ("\x9b2Ja", r"\x9b2Ja"),
        ("a\nError: forged", "a Error: forged"),
        ("a\r\u2028\x85\tb", "a    b"),
        ("nam\u202egnp", r"nam\u202egnp"),
        ("c\u200be", r"c\u200be"),
        ("\ufeffce", r"\ufeffce"),
        ("\ud800", r"\ud800"),
        ("a\0b", r"a\x00b"),
        ("\u3164", r"\u3164"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text, shown):
    assert printable(text) == shown


def test_a_long_name_is_cut_in_the_middle():
    assert short_name("x" * 300, 9) == "xxxx…xxxx"
    assert len(short_name("x" * 300)) == 200
    assert short_name("ce") == "ce"


def test_long_words_of_a_message_are_cut_and_the_others_stay():
    shown = short_words(f"no file at https://a/{'x' * 5000}; look there")
    assert shown.startswith("no file at https://a/xx")
    assert shown.endswith("x; look there")
    assert len(shown) < 450


FORMULAS = [
    "=1+2",
    "+1+2",
    "-1+2",
    "-cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "\uff1d1",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_a_spreadsheet_takes_for_a_formula_is_marked_as_text(text):
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "cell", ["ce-drw", "class 8", "", "-3", "+3.5e-10", "-inf", "-1.5 2 -3e5", -3.5, 7, None, True]
)
def test_numbers_and_plain_text_stay_as_they_are_in_a_cell(cell):
    assert spreadsheet_cell(cell) == cell
