"""Pickles that ask for more than they are: each of a few bytes, or of a few that are repeated.

They are put together by hand, as no pickler writes them.
"""

import struct
import zipfile
from pathlib import Path

START = b"\x80\x02"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def put(place: int) -> bytes:
    return b"r" + struct.pack("<I", place)


def get(place: int) -> bytes:
    return b"j" + struct.pack("<I", place)


def doubled(levels: int, join: bytes = b"\x86") -> bytes:
    """() inside (t, t) inside (t, t) ...: 2^levels when written out."""
    steps = b"".join(put(k) + get(k) + join for k in range(levels))
    return b")" + steps


def storage(key: str = "0", count: int = 4, kind: str = "FloatStorage") -> bytes:
    named = b"ctorch\n" + kind.encode() + b"\n"
    parts = text("storage") + named + text(key) + text("cpu") + whole(count)
    return b"(" + parts + b"tQ"


def whole(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def tensor(offset=0, size=(2, 2), stride=(2, 1), **of_storage) -> bytes:
    lengths = b"(" + b"".join(map(whole, size)) + b"t"
    steps = b"(" + b"".join(map(whole, stride)) + b"t"
    arguments = storage(**of_storage) + whole(offset) + lengths + steps + b"\x89ccollections\n"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"OrderedDict\n)RtR"


def state(*entries: tuple[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in entries) + b"u"


_MANY = 3000
BOMBS = {
    "tuples of one tuple as a key": b"}" + doubled(40) + b"K\x01s",
    "tuples of one tuple in a set": b"\x8f(" + doubled(40) + b"\x90",
    "tuples of one tuple in a frozen set": b"(" + doubled(40) + b"\x91",
    "tuples of one tuple as a value": b"}" + text("a") + doubled(40) + b"s",
    "tuples of one tuple, 26 deep": doubled(26),
    "lists of one list": b"]" + b"".join(put(k) + b"](" + get(k) * 2 + b"e" for k in range(40)),
    "dictionaries of one dictionary": b"}"
    + b"".join(
        put(k) + b"}(" + text("a") + get(k) + text("b") + get(k) + b"u" for k in range(40)
    ),
    "a list from a list, again and again": b"(](" + b"N" * 1000 + b"e" + put(0)
    + (b"ccollections\ndeque\n" + get(0) + b"\x85R") * 1000 + b"t",
    "a tuple in a tuple": b")" + b"\x85" * _MANY,
    "a list in a list": b"]" * _MANY + b"a" * (_MANY - 1),
    "a dictionary in a dictionary": (b"}" + text("a")) * _MANY + b"N" + b"s" * _MANY,
    "objects in objects by BUILD": b"cargparse\nNamespace\n)\x81" * _MANY + b"b" * (_MANY - 1),
    "a step for a byte": b"N" * (2**20),
    "a list that holds itself": b"]" + put(0) + get(0) + b"a",
    "a list filled once others hold it": b"]" + put(0) + b"\x85" + put(1) + get(0) + b"Na" + get(1),
    "the memory at 2^31": b"N" + put(2**31) + get(2**31 - 1),
    "DUP": b"]" + b"2a" * 5,
    "text of 2^60 characters": b"\x8d" + struct.pack("<Q", 2**60) + b"text",
    "bytes of 2^40": b"\x8e" + struct.pack("<Q", 2**40) + b"bytes",
    "a frame of 2^62": b"\x95" + struct.pack("<Q", 2**62) + b"N",
    "an integer of a megabyte": b"\x8b" + struct.pack("<I", 2**20) + b"\x01" * 2**20,
    "decimal digits of a megabyte": b"L" + b"9" * 2**20 + b"L\n",
    "an array of bytes of 10^10": b"c__builtin__\nbytearray\n" + whole(10**10) + b"\x85R",
    "an array of numpy of 2^59": b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n"
    + text("f8") + b"\x85R" + text("") + b"\x86R",
    "integers of one hash": b"}(" + b"".join(
        whole(3 + k * (2**61 - 1)) + b"N" for k in range(2000)
    ) + b"u",
    "too little on the stack": b"\x86",
    "nothing under the mark": b"t",
    "half a pair": b"}(Nu",
    "no end": b"",
}  # fmt: skip
TENSORS = {
    "a storage of 2^59 numbers": tensor(count=2**59),
    "a storage of 10^400 bytes": tensor(count=10**400),
    "a storage of -1 numbers": tensor(count=-1),
    "a storage that is not there": tensor(key="7"),
    "a storage elsewhere": tensor(key="../version"),
    "a stride outside the storage": tensor(stride=(2**40, 1)),
    "an offset outside the storage": tensor(offset=1),
    "an offset before it": tensor(offset=-1),
    "a length of 2^62": tensor(size=(2**62, 0)),
    "a length below 0": tensor(size=(-2, 2)),
    "no stride": tensor(stride=()),
    "a hundred axes": tensor(size=(1,) * 100, stride=(1,) * 100),
    "a number repeated 2^34 times": tensor(size=(2**34, 1), stride=(0, 0)),
    "bytes as a storage": b"ctorch._utils\n_rebuild_tensor\n(NK\x00))tR",
}


def write_archive(path: Path, pickle: bytes, parts: dict[str, bytes] | None = None) -> Path:
    """Write a file of torch's in the zip format."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", START + pickle + b".")
        for name, part in {"data/0": bytes(16), "version": b"3\n", **(parts or {})}.items():
            archive.writestr(f"net/{name}", part)
    return path


def write_older(path: Path, pickle: bytes) -> Path:
    """Write a file of torch's as before there were archives."""
    magic = START + whole(0x1950A86A20F9469CFC6C) + b"."
    system = START + state(("little_endian", b"\x88")) + b"."
    keys = START + b"](" + text("0") + b"e."
    content = magic + START + whole(1001) + b"." + system + START + pickle + b"." + keys
    path.write_bytes(content + struct.pack("<q", 4) + bytes(16))
    return path
