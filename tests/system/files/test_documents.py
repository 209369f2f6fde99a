"""Text that is no sound JSON or TOML: a line that names the file, quickly, and little memory."""

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from spectra import InputError, raised_limits
from spectra.system.files.documents import parse_json, read_json, read_toml

MEGABYTE = 2**20 - 20
READERS = {"json": read_json, "toml": read_toml}
HOSTILE_JSON = {
    "lists": b"[" * 10**6,
    "objects": b'{"a":' * 10**5,
    "too deep": b"[" * 102 + b"]" * 102,
    "thousands of digits": b"1" * 5000,
    "a number over 64 bits": b"[18446744073709551616]",
    "a long float": b"[1" + b"1" * MEGABYTE + b".0]",
    "too large a float": b'{"a": [1, 1e400]}',
    "NaN": b"[NaN]",
    "Infinity": b"-Infinity",
    "a key twice": b'{"a": {"b": 1, "b": 2}}',
    "half a character": b'{"a": "\\ud800"}',
    "half a character in a key": b'{"\\udfff": 1}',
    "not UTF-8": b'["\xff"]',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a": 1}'.encode("utf-16-le"),
    "gzip": b"\x1f\x8b\x08\x00rest",
    "cut short": b'{"a": [1, 2',
    "a web page": b"<!DOCTYPE html><html></html>",
    "empty": b"",
    "zeros": b"\0" * 100,
    "spaces": b" \n\t",
    "two documents": b"{} {}",
    "a comma too many": b"[1,]",
    "a zero byte": b'{"a": \0}',
}
HOSTILE_TOML = {
    "lists": b"a = " + b"[" * MEGABYTE,
    "tables": b"a = " + b"{b = " * (MEGABYTE // 5),
    "a dotted key": b".".join([b"a"] * (MEGABYTE // 2)) + b" = 1",
    "a dotted key with spaces": b"a . " * (MEGABYTE // 4) + b"b = 1",
    "a dotted key in quotes": b'"a".' * (MEGABYTE // 4) + b"b = 1",
    "a dotted header": b"[" + b"a." * (MEGABYTE // 2) + b"b]",
    "a long key": b"a" * MEGABYTE,
    "quotes": b'"' * MEGABYTE,
    "thousands of digits": b"a = 1" + b"1" * MEGABYTE,
    "an integer over 64 bits": b"a = 0x" + b"f" * 17,
    "a long float": b"a = 1" + b"1" * MEGABYTE + b".0",
    "nan": b"a = [1.0, nan]",
    "inf": b"a = {b = -inf}",
    "a date": b"a = 1979-05-27",
    "a time": b"a = 07:32:00",
    "a key twice": b"a = 1\na = 2",
    "a table twice": b"[a]\n[a]",
    "a carriage return alone": b"a = 1\rb = 2",
    "not UTF-8": b'a = "\xff"',
    "UTF-16": "a = 1".encode("utf-16"),
    "half a character": b'a = "\\ud800"',
    "a zero byte": b'a = "\0"',
    "over a megabyte": b"#" * (2**20 + 1),
}
CASES = [
    *(("json", name, content) for name, content in HOSTILE_JSON.items()),
    *(("toml", name, content) for name, content in HOSTILE_TOML.items()),
]


@pytest.mark.parametrize(
    ("kind", "content"),
    [(kind, content) for kind, _, content in CASES],
    ids=[f"{kind}-{name}" for kind, name, _ in CASES],
)
def test_unsound_text_is_a_line_that_names_the_file_and_costs_little(kind, content, tmp_path):
    path = tmp_path / f"hostile.{kind}"
    path.write_bytes(content)
    began = time.process_time()
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        READERS[kind](path, what="an example")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    said = str(caught.value)
    assert str(path) in said
    assert said.isprintable()
    assert len(said) < 600
    assert time.process_time() - began < 5
    assert most < 200e6


@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_file_is_refused_and_not_waited_for(kind, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "absent"):
        with pytest.raises(InputError, match=f"cannot read {path}"):
            READERS[kind](path, what="an example")


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("json", '\ufeff{"a": -0.0, "b": "\\ud83d\\ude00"}', {"a": 0.0, "b": "\U0001f600"}),
        ("json", "[" * 100 + "]" * 100, None),
        ("json", "[-9223372036854775808, 18446744073709551615]", [-(2**63), 2**64 - 1]),
        ("json", "{}", {}),
        ("toml", "\ufeffa = 1\r\nb = -0.0\r\n", {"a": 1, "b": 0.0}),
        ("toml", "a = " + "[" * 98 + "]" * 98, None),
        ("toml", "# 1.2.3.4\na.b.c = 'x.y'\n", {"a": {"b": {"c": "x.y"}}}),
        ("toml", "# nothing\n", {}),
    ],
)
def test_sound_text_is_read_with_any_mark_and_any_line_ends(kind, text, found, tmp_path):
    path = tmp_path / f"sound.{kind}"
    path.write_bytes(text.encode())
    read = READERS[kind](path, what="an example")
    assert found is None or read == found


def test_a_json_file_cut_at_any_byte_is_refused(tmp_path):
    whole = b'{"name": "a\\u00e9\xc3\xa9", "values": [1.5, -2e-3, true, null], "more": {"x": 12}}'
    path = tmp_path / "cut.json"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"cut\.json"):
            read_json(path, what="an example")


def test_a_place_is_named_as_typed_readers_name_it():
    with pytest.raises(InputError, match=r"^f: records\[1\]\.loss: expected a finite number"):
        parse_json('{"records": [{}, {"loss": 1e999}]}', origin="f", what="an example")


def test_the_limits_of_depth_and_size_can_be_raised(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("a = " + "[" * 120 + "]" * 120)
    with pytest.raises(InputError, match="--limit depth="):
        read_toml(path, what="an example")
    with raised_limits(depth=200):
        read_toml(path, what="an example")


def test_a_key_that_is_twice_among_a_million_is_found_in_one_pass():
    """Comparing each name with those before it would take hours."""
    text = "{" + ",".join(f'"{k}":0' for k in range(300_000)) + ',"299999":0}'
    began = time.process_time()
    with pytest.raises(InputError, match="the key '299999' is there twice"):
        parse_json(text, origin="file", what="an example")
    assert time.process_time() - began < 10
