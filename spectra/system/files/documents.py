"""JSON and TOML, as they come from anybody: text in UTF-8 that becomes finite, plain values.

Every file of this kind is read here. Typed readers (``spectra.results.plain``) go on from what this
returns: dictionaries, lists, text without surrogates, true, false, null, integers of 64 bits and
finite numbers, not deeper than a limit.
"""

import codecs
import datetime
import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from spectra.errors import InputError
from spectra.system.files.limits import check_limit, limit
from spectra.system.files.reading import read_bytes
from spectra.system.foreign_text import short_name

_OTHER_TEXT: Final = {
    codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16",
    b"\x1f\x8b": "compressed by gzip", b"PK\x03\x04": "a zip archive", b"\x89HDF": "HDF5",
    b"%PDF": "a PDF",
}  # fmt: skip
# What C, NumPy and msgspec hold: from -2^63 on, under 2^64.
_LEAST, _OVER = -(2**63), 2**64
_SURROGATE = re.compile("[\ud800-\udfff]")
_DATES = (datetime.date, datetime.time)  # a datetime is a date
# One part of a dotted key of TOML, and the dot: possessive, so that it takes linear time.
_PART = r"""(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)"""
# In a place: keys are as long as their file likes.
_LONGEST_KEY = 60


def read_json(path: Path, *, what: str) -> Any:
    """Return what a JSON file holds.

    Args:
        path: a regular file of at most the limit ``json_file``.
        what: it should be, for errors: ``a result file``.

    Raises:
        InputError: it cannot be read, is no strict JSON in UTF-8, names a key twice in one object,
            nests deeper than the limit ``depth``, or holds a number or text that no computer holds.
    """
    text = read_text(path, "json_file", what=what)
    return parse_json(text, origin=str(path), what=what)


def parse_json(text: str, *, origin: str, what: str) -> Any:
    """Return what JSON holds that lies in a file of another kind.

    Args:
        text: the JSON.
        origin: names the file in errors.
        what: it should be.

    Raises:
        InputError: as for :func:`read_json`.

    Example:
        >>> from spectra.system.files.documents import parse_json
        >>> parse_json('{"a": [1, 2.5]}', origin="file", what="an example")
        {'a': [1, 2.5]}
        >>> parse_json('{"a": 1, "a": 2}', origin="file", what="an example")
        Traceback (most recent call last):
        spectra.errors.InputError: cannot read file as an example: the key 'a' is there twice
    """
    try:
        plain = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(f"cannot read {origin} as {what}: {_of_json(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot read {origin} as {what}: {_of_value(error)}") from error
    _check(plain, origin)
    return plain


def read_toml(path: Path, *, what: str) -> dict[str, Any]:
    """Return what a TOML file holds.

    Args:
        path: a regular file of at most the limit ``toml_file``.
        what: it should be, for errors: ``a study``.

    Raises:
        InputError: as for :func:`read_json`, of TOML; or it holds a date.
    """
    text = read_text(path, "toml_file", what=what)
    # Python takes time and memory that go with the square of the parts of a key.
    if re.search(f"{_PART}{{{limit('depth')}}}", text):
        check_limit("depth", limit("depth") + 1, f"{path}: parts of a key")
    try:
        plain = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path} as {what}: {_of_value(error)}") from error
    _check(plain, str(path))
    return plain


def read_text(path: Path, limit_name: str, *, what: str) -> str:
    """Return what a file of text holds; the mark that Windows puts before UTF-8 is left out.

    Args:
        path: a regular file.
        limit_name: of its size, see :class:`spectra.system.files.limits.Limits`.
        what: it should be, for errors.

    Raises:
        InputError: it cannot be read, is too large, or no text in UTF-8.
    """
    content = read_bytes(path, limit_name)
    for start, kind in _OTHER_TEXT.items():
        if content.startswith(start):
            raise InputError(f"cannot read {path} as {what}: it is {kind}, expected text in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"cannot read {path} as {what}: byte {error.start + 1} is no UTF-8; save it as UTF-8"
        ) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(
            name for name, times in Counter(name for name, _ in pairs).items() if times > 1
        )
        raise ValueError(f"the key {short_name(twice, _LONGEST_KEY)!r} is there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON; a number that is not known is null")


def _of_json(error: json.JSONDecodeError) -> str:
    if error.doc.lstrip()[:1] == "<":
        return "it is a web page or XML, not JSON; download the file itself"
    if not error.doc.strip("\0 \t\r\n"):
        return "it is empty"
    if error.pos >= len(error.doc.rstrip()):
        return f"it ends in the middle of a value, in line {error.lineno}; it was cut short"
    what = error.msg[:1].lower() + error.msg[1:]
    return f"it is no JSON from line {error.lineno}, column {error.colno} on ({what})"


def _of_value(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it nests lists and objects deeper than Python reads"
    if "integer string conversion" in str(error):
        return "it holds a number of thousands of digits"
    text = " ".join(str(error).split())
    return text if isinstance(error, tomllib.TOMLDecodeError) else text[:200]


def _check(plain: Any, origin: str) -> None:
    """Raise InputError at a value that no typed reader would take, by its place."""
    if not isinstance(plain, dict | list):
        _check_value(plain, origin, "")
        return
    containers: list[tuple[Any, tuple[str | int, ...]]] = [(plain, ())]
    depth = limit("depth")
    while containers:
        holder, place = containers.pop()
        if len(place) >= depth:
            check_limit("depth", len(place) + 1, f"{origin}: {_shown(place[:3])}...")
        for key, value in _inner(holder):
            if isinstance(value, dict | list):
                if value:
                    containers.append((value, (*place, key)))
            elif not (isinstance(value, float) and math.isfinite(value)):
                _check_value(value, origin, (*place, key))
        if isinstance(holder, dict):
            for key in holder:
                _check_text(key, origin, (*place, key))


def _inner(holder: Any) -> Iterator[tuple[str | int, Any]]:
    return iter(holder.items()) if isinstance(holder, dict) else iter(enumerate(holder))


def _check_value(value: Any, origin: str, place: Any) -> None:
    wrong = None
    if isinstance(value, str):
        _check_text(value, origin, place)
    elif isinstance(value, float) and not math.isfinite(value):
        wrong = f"expected a finite number, got {value}"
    elif isinstance(value, int) and not _LEAST <= value < _OVER:
        wrong = "number out of range"
    elif isinstance(value, _DATES):
        wrong = f"expected a number or text, got the date or time {value}; put text in quotes"
    if wrong is not None:
        raise InputError(_at(origin, place, wrong))


def _check_text(text: str, origin: str, place: Any) -> None:
    if not text.isascii() and _SURROGATE.search(text):
        raise InputError(_at(origin, place, "text with half a character (a lone surrogate)"))


def _at(origin: str, place: Any, what: str) -> str:
    return f"{origin}: {_shown(place)}: {what}" if place else f"{origin}: {what}"


def _shown(place: tuple[str | int, ...]) -> str:
    steps = (f"[{k}]" if isinstance(k, int) else f".{short_name(k, _LONGEST_KEY)}" for k in place)
    return "".join(steps).removeprefix(".")
