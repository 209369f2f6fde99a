"""Pickles of protocols 3 to 5, written again in protocol 2, the one that torch's reader reads.

Nothing is loaded here: instructions are read by ``pickletools`` and other instructions written.
What they ask for is judged afterwards, by torch's restricted reader.
"""

import io
import pickle
import pickletools
import struct
import zipfile
from pathlib import Path

ZIP = b"PK\x03\x04"
_NEWER = (b"\x80\x03", b"\x80\x04", b"\x80\x05")
_STRINGS = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_BYTES = ("SHORT_BINBYTES", "BINBYTES", "BINBYTES8")
# Sets become lists and frozen sets tuples: torch's reader fills no set.
_SAME = {
    "EMPTY_SET": pickle.EMPTY_LIST, "ADDITEMS": pickle.APPENDS, "FROZENSET": pickle.TUPLE,
    "EMPTY_DICT": pickle.EMPTY_DICT, "EMPTY_LIST": pickle.EMPTY_LIST, "APPEND": pickle.APPEND,
    "EMPTY_TUPLE": pickle.EMPTY_TUPLE, "APPENDS": pickle.APPENDS, "SETITEM": pickle.SETITEM,
    "SETITEMS": pickle.SETITEMS, "MARK": pickle.MARK, "TUPLE": pickle.TUPLE,
    "TUPLE1": pickle.TUPLE1, "TUPLE2": pickle.TUPLE2, "TUPLE3": pickle.TUPLE3,
    "NONE": pickle.NONE, "NEWTRUE": pickle.NEWTRUE, "NEWFALSE": pickle.NEWFALSE,
    "NEWOBJ": pickle.NEWOBJ, "REDUCE": pickle.REDUCE, "BUILD": pickle.BUILD,
    "BINPERSID": pickle.BINPERSID, "STOP": pickle.STOP,
}  # fmt: skip
_OF_A_MODULE = b"_parameters"  # in what every module is pickled with
_LEGACY_PICKLES = 5  # magic number, protocol, machine, the content, the names of its storages


class _Translation:
    """One pickle on its way to protocol 2.

    Strings are held back until it is clear whether they name a class, and are never memorised:
    where one is called again, it is written again.
    """

    def __init__(self) -> None:
        self.out = bytearray(pickle.PROTO + b"\x02")
        self.held: list[str] = []
        self.strings: dict[int, str] = {}
        self.memory = 0

    def take(self, name: str, value: object) -> None:
        """Translate one instruction."""
        if name in _STRINGS:
            self.held.append(str(value))
        elif name in ("GET", "BINGET", "LONG_BINGET") and value in self.strings:
            self.held.append(self.strings[int(str(value))])
        elif name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            place = self.memory if name == "MEMOIZE" else int(str(value))
            self.memory += 1
            if self.held:
                self.strings[place] = self.held[-1]
            else:
                self.out += pickle.LONG_BINPUT + struct.pack("<I", place)
        elif name == "STACK_GLOBAL":
            if len(self.held) < 2:
                raise pickle.UnpicklingError("Unsupported operand STACK_GLOBAL")
            *self.held, module, attribute = self.held
            self.release()
            self.global_(module, attribute)
        else:
            self.release()
            self.plain(name, value)

    def release(self) -> None:
        """Write the strings that named no class."""
        for text in self.held:
            encoded = text.encode("utf-8", "surrogatepass")
            self.out += pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded
        self.held = []

    def global_(self, module: str, attribute: str) -> None:
        """Write the name of a class or function."""
        if "\n" in module + attribute:
            raise pickle.UnpicklingError("Unsupported operand STACK_GLOBAL")
        self.out += pickle.GLOBAL + f"{module}\n{attribute}\n".encode()

    def plain(self, name: str, value: object) -> None:
        """Translate an instruction other than those about strings and memory."""
        if name in ("PROTO", "FRAME"):
            return
        if name in _SAME:
            self.out += _SAME[name]
        elif name == "GLOBAL":
            self.global_(*str(value).split(" ", 1))
        elif name in ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"):
            self.out += pickle.dumps(value, protocol=2)[2:-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.out += pickle.LONG_BINGET + struct.pack("<I", int(str(value)))
        elif name in _BYTES or name == "BYTEARRAY8":
            self.bytes_(bytes(value), mutable=name == "BYTEARRAY8")  # type: ignore[call-overload]
        else:
            raise pickle.UnpicklingError(f"Unsupported operand {name}")

    def bytes_(self, value: bytes, *, mutable: bool) -> None:
        """Write bytes as protocol 2 has them: text, and how to encode it."""
        if mutable:
            self.global_("builtins", "bytearray")
        self.global_("_codecs", "encode")
        self.held = [value.decode("latin1"), "latin1"]
        self.release()
        self.out += pickle.TUPLE2 + pickle.REDUCE
        if mutable:
            self.out += pickle.TUPLE1 + pickle.REDUCE


def in_protocol_2(path: Path) -> bytes | None:
    """Return a file of ``torch.save`` with its pickles in protocol 2; None: it needs no change.

    Args:
        path: a zip file, or one in the older format. It is read whole where it needs a change.

    Raises:
        UnpicklingError: an instruction that no ``torch.save`` writes.
        ValueError: no pickle, or it was cut short.
    """
    if begins(path, ZIP):
        return _zip_in_protocol_2(path)
    if not begins(path, *_NEWER):
        return None
    file, out = io.BytesIO(path.read_bytes()), bytearray()
    for _ in range(_LEGACY_PICKLES):
        if file.tell() < len(file.getbuffer()):
            out += _translated(file)
    return bytes(out) + file.read()


def names_in(path: Path) -> tuple[str, ...]:
    """Return the classes and functions that a file of ``torch.save`` names; none is looked up."""
    try:
        if begins(path, ZIP):
            with zipfile.ZipFile(path) as archive:
                pickles = [io.BytesIO(archive.read(name)) for name in _pickles(archive)]
        else:
            pickles = [io.BytesIO(path.read_bytes())] * _LEGACY_PICKLES
        return tuple(name for file in pickles for name in _names(file))
    except (ValueError, OSError, pickle.UnpicklingError, zipfile.BadZipFile, struct.error):
        return ()


def holds_modules(path: Path) -> bool:
    """Say whether a file of ``torch.save`` holds modules, and not the names of their classes."""
    try:
        if not begins(path, ZIP):
            return _OF_A_MODULE in path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            return any(_OF_A_MODULE in archive.read(name) for name in _pickles(archive))
    except (OSError, zipfile.BadZipFile):
        return False


def begins(path: Path, *starts: bytes) -> bool:
    """Say whether a file begins with one of ``starts``."""
    with path.open("rb") as file:
        return file.read(max(map(len, starts))).startswith(starts)


def _pickles(archive: zipfile.ZipFile) -> list[str]:
    return [name for name in archive.namelist() if name.endswith("/data.pkl")]


def _start(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        return file.read(2)


def _zip_in_protocol_2(path: Path) -> bytes | None:
    with zipfile.ZipFile(path) as archive:
        newer = [name for name in _pickles(archive) if _start(archive, name).startswith(_NEWER)]
        if not newer:
            return None
        for info in archive.infolist():
            if not info.CRC:  # torch was told to write no checksums
                del info.CRC
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, _translated(io.BytesIO(part)) if name in newer else part)
    return buffer.getvalue()


def _names(file: io.BytesIO) -> list[str]:
    """Return the names in the next pickle of ``file``, in protocol 2 if need be."""
    operations = pickletools.genops(io.BytesIO(_translated(file)))
    return [str(value).replace(" ", ".") for one, value, _ in operations if one.name == "GLOBAL"]


def _translated(file: io.BytesIO) -> bytes:
    translation = _Translation()
    for operation, value, _ in pickletools.genops(file):
        translation.take(operation.name, value)
    return bytes(translation.out)
