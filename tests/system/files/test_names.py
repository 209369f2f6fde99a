"""Names of files made of foreign text."""

from pathlib import Path, PureWindowsPath

import pytest

from spectra.system.files.names import MOST_BYTES, file_name

PLAIN = [
    "ce-drw",
    "8",
    "overall",
    "mine.toml",
    "my recipe",
    "digits-ce_2@100",
    "if0.01",
    "日本",
    "é",
]
HOSTILE = [
    "", ".", "..", "../../README", "/abs/evil.toml", "a/b", "a\\b", "C:\\x", "a:b", "a\0b", "a\nb",
    ".hidden", "..hidden", "-o", "--help", " a", "a ", "a.", "x" * 300, "é" * 200, "e\u0301",
    "CON", "con", "nul.txt", "COM1.tar.gz", "lpt¹", "\ud800", "\udcff", "a\u202eb", "c\u200be",
    "a*b", "a?b", "a|b", '"', "<x>", "~", "a~b", "   ", "---", "\x1b[31m", "a\u00a0b", "a" * 121,
    "$(x)", "`x`", "a;b", "a&b",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_name_stays_as_it_is(text):
    assert file_name(text) == text


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_name_is_one_visible_part_of_a_path(text, tmp_path):
    name = file_name(text)
    assert Path(name).name == PureWindowsPath(name).name == name
    assert name[0] not in ".- "
    assert name[-1] not in ". "
    assert name.isprintable()
    assert len(name.encode()) <= MOST_BYTES
    assert not PureWindowsPath(name).is_reserved()
    (tmp_path / name).write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_two_texts_never_share_a_name():
    texts = [*PLAIN, *HOSTILE, "e\u0301", "x" * 301, "a-b", "README"]
    made = {text: file_name(text) for text in texts}
    assert len(set(made.values())) == len(made)


def test_a_name_that_looks_made_is_made_again():
    made = file_name("../x")
    assert file_name(made) != made
