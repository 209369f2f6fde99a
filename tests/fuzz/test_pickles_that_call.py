"""Pickles that would run something: none does, whatever they are wrapped in."""

import io
import pickle
import pickletools
import zipfile

import pytest
from guarded import attempt
from hypothesis import given
from hypothesis import strategies as st
from reader_table import READERS
from valid_files import with_pickle

_CALLS = [
    ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "exec"),
    ("subprocess", "Popen"), ("canary_in_a_file", "ran"), ("importlib", "import_module"),
    ("builtins", "__import__"), ("torch.hub", "load"), ("numpy", "load"),
    ("operator", "methodcaller"), ("torch.serialization", "load"), ("shutil", "rmtree"),
    ("builtins", "getattr"),
    ("functools", "partial"), ("builtins", "open"), ("copyreg", "_reconstructor"),
    ("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2"), ("builtins", "set"),
]  # fmt: skip
_OPCODES = [code.code.encode("latin1") for code in pickletools.opcodes]


@st.composite
def calls(draw) -> bytes:
    """Return a pickle that calls something by one of the ways there are, with what may come."""
    module, name = draw(st.sampled_from(_CALLS))
    arguments = draw(st.sampled_from([("true",), ("/tmp/canary", "w"), (), ({},), (1, 2)]))
    given_to = pickle.dumps(arguments, protocol=2)[2:-1]
    way = draw(st.sampled_from(("global", "stack", "inst", "newobj", "build", "obj")))
    head = b"\x80\x04"
    named = f"{module}\n{name}\n".encode()
    if way == "global":
        body = b"c" + named + given_to + b"R"
    elif way == "stack":
        texts = b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, name))
        body = texts + b"\x93" + given_to + b"R"
    elif way == "inst":
        body = b"(" + b"i" + named
    elif way == "newobj":
        body = b"c" + named + given_to + b"\x81"
    elif way == "obj":
        body = b"(c" + named + b"o"
    else:
        body = b"c" + named + b")\x81" + pickle.dumps({"x": 1}, protocol=2)[2:-1] + b"b"
    return head + body + b"."


@st.composite
def any_opcodes(draw) -> bytes:
    """Return opcodes in any order, with arguments that may fit."""
    parts = draw(
        st.lists(st.tuples(st.sampled_from(_OPCODES), st.binary(max_size=10)), max_size=40)
    )
    return b"\x80\x02" + b"".join(code + more for code, more in parts) + b"."


@pytest.mark.parametrize("name", ["torch-pickle", "pickle", "torch-legacy"])
@given(content=st.one_of(calls(), any_opcodes()))
def test_a_pickle_runs_nothing(name, scratch, content):
    attempt(READERS[name], content, scratch / name)


@pytest.mark.parametrize("levels", [26, 40, 1000])
def test_a_pickle_of_tuples_in_tuples_ends(levels, scratch):
    body = b")" + b"2\x86" * levels  # each of the one before, twice
    for content in (b"\x80\x02}" + body + b"K\x01s.", b"\x80\x02" + body + b"."):
        assert attempt(READERS["torch-pickle"], content, scratch / "tuples") is None


def test_the_pickle_lies_where_torch_reads_it():
    with zipfile.ZipFile(io.BytesIO(with_pickle(b"x"))) as archive:
        assert [n for n in archive.namelist() if archive.read(n) == b"x"]
