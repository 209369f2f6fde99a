"""Between typed values and the plain ones of JSON and TOML: written here, read and checked here.

Reading is msgspec's: of the libraries tried it alone refuses ``"3"`` for a number, ``true`` for an
integer and a word for a list without being told to, names the place, and brings no dependencies.
Its words are for programmers; :func:`from_plain` says them for people. Writing is ours, as files
are to keep their bytes: the keys in the order of the fields, floats as Python writes them.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from spectra.errors import InputError
from spectra.system.files.documents import read_json
from spectra.system.foreign_text import short_name

T = TypeVar("T")
_KINDS = {
    "int": "an integer", "float": "a number", "bool": "true or false", "str": "text",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip
# Ours: a value of a message is to be known again, not to be read.
_LONGEST_SHOWN = 60


def written_as(key: str, write: Callable[[Any], Any] | None = None) -> Mapping[str, Any]:
    """Return the ``metadata`` of a field that files hold under ``key``, as ``write`` gives it."""
    return {"key": key, "write": write or to_plain}


def to_plain(value: Any) -> Any:
    """Return dataclasses as dictionaries and tuples as lists, all the way down.

    Fields are written in their order under their names, or as :func:`written_as` and
    :data:`spectra.system.files.writing.WHEN_SET` say.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {
            f.metadata.get("key", f.name): f.metadata.get("write", to_plain)(getattr(value, f.name))
            for f in fields(value)
            if not (f.metadata.get("when_set") and getattr(value, f.name) == f.default)
        }
    if isinstance(value, Mapping):
        return {key: to_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(inner) for inner in value]
    return value


def from_plain(plain: Any, kind: type[T], *, origin: str, at: str = "") -> T:
    """Return ``plain`` as a ``kind``, every value of the type that its field states.

    An integer serves where a number is asked for; nothing else stands in for another type. Keys
    that ``kind`` does not know are left out.

    Args:
        plain: what a JSON or TOML reader gave.
        kind: a dataclass, its fields of types that msgspec knows.
        origin: names the file in errors.
        at: where in the file ``plain`` stands: ``analyze``; empty for the whole of it.

    Raises:
        InputError: a key is missing or a value does not fit:
            ``FILE: records[3].lambda_min: expected a number, got 'x'``.

    Example:
        >>> from spectra.krylov.quadrature.intervals import Interval
        >>> from spectra.results.plain import from_plain, to_plain
        >>> plain = {"lower": 1, "estimate": 2.5, "upper": 4.0, "level": 0.95}
        >>> from_plain(plain, Interval, origin="file")
        Interval(lower=1.0, estimate=2.5, upper=4.0, level=0.95)
        >>> from_plain({**plain, "upper": "4"}, Interval, origin="file")
        Traceback (most recent call last):
        spectra.errors.InputError: file: upper: expected a number, got '4'
    """
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{origin}: {_said(str(error), plain, at)}") from error


def check_keys(values: Mapping[str, Any], known: Iterable[str], *, origin: str, at: str) -> None:
    """Raise InputError where a table has a key that nothing reads, naming the nearest that is read.

    Args:
        values: the table.
        known: keys that it may have.
        origin: names the file.
        at: name of the table; empty for the whole file.
    """
    names = list(known)
    unknown = next((key for key in values if key not in names), None)
    if unknown is None:
        return
    shown = short_name(unknown, _LONGEST_SHOWN)
    near = difflib.get_close_matches(unknown[:_LONGEST_SHOWN], names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    key = f"{at}.{shown}" if at else repr(shown)
    raise InputError(f"{origin}: unknown key {key}; {meant}expected one of {', '.join(names)}")


def read_document(path: Path, *, what: str, format_name: str, newest: int) -> dict[str, Any]:
    """Read a JSON file that names its format and schema.

    Args:
        path: the file.
        what: it should be, for errors: ``a result file``.
        format_name: its key ``format``.
        newest: schema that this version reads.

    Raises:
        InputError: it cannot be read, is not JSON, of another format, or of a schema that there is
            not yet.
    """
    plain = read_json(path, what=what)
    if not isinstance(plain, dict) or plain.get("format") != format_name:
        raise InputError(f"{path} is not {what}")
    schema = plain.get("schema")
    if type(schema) is not int:
        raise InputError(f"{path}: schema: expected an integer, got {_shown(schema)}")
    if schema < 1:
        raise InputError(f"{path}: schema: expected 1 to {newest}, got {schema}")
    if schema > newest:
        raise InputError(
            f"{path} has schema {schema}, this version reads up to {newest}; update hessian-spectra"
        )
    return plain


def _said(message: str, plain: Any, at: str) -> str:
    """Return msgspec's message in a person's words, the place first."""
    what, _, place = message.rpartition(" - at ")
    if not what:
        what, place = message, "`$`"
    keys = re.findall(r"\.([^.\[\]]+)|\[([^\]]*)\]", place.strip("`"))
    steps: list[str | int] = [int(k) if k.isdigit() else k or name for name, k in keys]
    if wrong := re.fullmatch(r"Expected `(.+)`, got `(.+)`", what):
        found = _found(plain, steps, wrong[2])
        steps, got = found or (steps, _KINDS.get(wrong[2], wrong[2]))
        kinds = wrong[1].split(" | ")
        # That nothing may stand there too is no help to who wrote something.
        wanted = [kind for kind in kinds if kind != "null"] or kinds
        what = f"expected {' or '.join(_KINDS.get(kind, kind) for kind in wanted)}, got {got}"
    elif missing := re.fullmatch(r"Object missing required field `(.+)`", what):
        what = f"{missing[1]} is missing"
    elif what.startswith("Number"):
        what = what[:1].lower() + what[1:]
    text = at + "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in steps)
    text = text.removeprefix(".").replace("\n", " ")  # keys of mappings may hold anything
    return f"{text}: {what}" if text else what


def _found(plain: Any, steps: list[str | int], got: str) -> tuple[list[str | int], str] | None:
    """Return the place of the bad value, and the value as text; None if it is not there.

    msgspec writes ``...`` for the key of a mapping: the first whose value is a ``got`` is meant.
    """
    if not steps:
        return ([], _shown(plain)) if _kind(plain) == got else None
    step, rest = steps[0], steps[1:]
    if step == "..." and isinstance(plain, Mapping):
        candidates = list(plain.items())
    else:
        try:
            candidates = [(step, plain[step])]
        except (KeyError, IndexError, TypeError):
            return None
    for key, inner in candidates:
        if found := _found(inner, rest, got):
            return [key, *found[0]], found[1]
    return None


def _kind(value: Any) -> str:
    """Return msgspec's word for the type of a plain value."""
    words: dict[type, str] = {dict: "object", list: "array", tuple: "array", type(None): "null"}
    return words.get(type(value), type(value).__name__)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
