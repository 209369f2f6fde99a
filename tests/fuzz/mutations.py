"""Changed files: bytes that flip, go and come, values of JSON and TOML that become others."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

_HUGE = (2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
# What stands where something else is expected; text that is no JSON stands for itself.
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 3, 2.5, -0.0, 1e308, float("nan"), float("inf"), 10**30, 10**400,
    2**63, "", "x", "3", "nan", "../../x", "/dev/zero", "\0", "\ud800", "\x1b]0;x\x07", "é" * 300,
    "a:b", "canary_in_a_file:ran", [], {}, [None], [[]], [[], [1]], {"": {}}, [1e400], ["x"],
    [0] * 2000, [1, "x"], {"a": 1},
]  # fmt: skip
TOML_VALUES = [
    "5", "-1", "1.5", "nan", "inf", "1e999", "10" * 60, "true", '""', '"x"', '"../../x"', "[]",
    "{}", "[[]]", '["x"]', "[-1]", "[1.5]", "[1, 1]", "1979-05-27", "07:32:00", '"\\u0000"',
    "'''a\nb'''", "{a = 1}", "[" * 200 + "]" * 200, "0x7fffffffffffffffff", "+", "'", '"canary:f"',
]  # fmt: skip


@st.composite
def changed_bytes(draw: DrawFn, sound: list[bytes]) -> bytes:
    """Return sound content with one to six changes."""
    content = bytearray(draw(st.sampled_from(sound)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(content)))
        if draw(st.booleans()):  # from the end: where archives keep their lists
            at = len(content) - at
        kind = draw(st.sampled_from(("flip", "number", "insert", "remove", "cut", "splice")))
        length = draw(st.integers(1, 40))
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            width = draw(st.sampled_from((1, 2, 4, 8)))
            number = draw(st.sampled_from(_HUGE)) % 256**width
            content[at : at + width] = number.to_bytes(width, "little")
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=40))
        elif kind == "remove":
            del content[at : at + length]
        elif kind == "cut":
            del content[at:]
        elif kind == "splice":
            other = draw(st.sampled_from(sound))
            start = draw(st.integers(0, len(other)))
            content[at : at + length] = other[start : start + 2 * length]
    return bytes(content)


@st.composite
def changed_json(draw: DrawFn, sound: list[bytes]) -> bytes:
    """Return JSON of which one to three values are others, gone, or deep inside lists."""
    tree = json.loads(draw(st.sampled_from(sound)))
    for _ in range(draw(st.integers(1, 3))):
        everywhere = list(places(tree))
        if not everywhere:
            break
        place = draw(st.sampled_from(everywhere))
        at = tree
        for key in place[:-1]:
            at = at[key]
        kind = draw(st.sampled_from(("other", "gone", "deep", "twice")))
        if kind == "other":
            at[place[-1]] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif kind == "gone":
            del at[place[-1]]
        elif kind == "twice" and isinstance(at, list):
            at.append(copy.deepcopy(at[place[-1]]))
        elif kind == "deep":
            for _ in range(draw(st.sampled_from((1, 5, 300)))):
                at[place[-1]] = [at[place[-1]]]
    return json.dumps(tree).encode()


@st.composite
def changed_toml(draw: DrawFn, sound: list[bytes]) -> bytes:
    """Return TOML with lines of other values, lines twice, elsewhere or under other names."""
    lines = draw(st.sampled_from(sound)).decode().splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[at].partition("=")
        kind = draw(st.sampled_from(("value", "value", "key", "twice", "moved", "gone")))
        if kind == "value" and equals:
            lines[at] = f"{key}= {draw(st.sampled_from(TOML_VALUES))}"
        elif kind == "key":
            lines[at] = draw(st.text(max_size=8)) + lines[at]
        elif kind == "twice":
            lines.append(lines[at])
        elif kind == "moved":
            lines.insert(0, lines.pop(at))
        elif kind == "gone" and len(lines) > 1:
            del lines[at]
    return "\n".join(lines).encode("utf-8", errors="surrogatepass")


CHANGED = {"bytes": changed_bytes, "json": changed_json, "toml": changed_toml}


def changed(form: str, sound: list[bytes]) -> st.SearchStrategy[bytes]:
    """Return changed files of a form: as what it is, and as mere bytes."""
    if form == "bytes":
        return changed_bytes(sound)
    return st.one_of(CHANGED[form](sound), changed_bytes(sound))


def places(
    value: Any, place: tuple[str | int, ...] = (), *, of_lists: int = 3
) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of every value of a tree; of lists, of the first ``of_lists``."""
    if place:
        yield place
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*place, key), of_lists=of_lists)
    elif isinstance(value, list):
        for number, inner in enumerate(value[:of_lists]):
            yield from places(inner, (*place, number), of_lists=of_lists)
