"""Zip archives of strangers: their parts, once none can be more than the archive says."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

import numpy as np
import numpy.typing as npt

from spectra.errors import InputError
from spectra.system.files.limits import check_limit

# How a zip file ends: of files above 4 GiB, and of torch's, two more records come before.
_END, _LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
_END_LENGTH, _LOCATOR_LENGTH, _LONG_END_LENGTH = 22, 20, 56
# A comment is stated in two bytes.
_MOST_AT_THE_END = _END_LENGTH + 2**16 - 1 + _LOCATOR_LENGTH + _LONG_END_LENGTH
_LOCAL_LENGTH = 30  # bytes before the name of a part and its content
_PIECE = 2**24
# Ours: photographs and weights become less than ten times their file, zeros a thousand times.
_TIMES = 20
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, UnicodeError, EOFError, RuntimeError,
    NotImplementedError,
)  # fmt: skip


class DamagedPartError(InputError):
    """A part is not what its checksum says."""


class ZipParts:
    """The parts of an archive, each in a place of its own, stored as they are or deflated.

    Args:
        file: the archive, open.
        origin: names it in errors.
        most: the limit of what the parts that are read become, all together, of those that are
            nearly empty: more than twenty times as large as in the file.

    Attributes:
        names: of the parts.

    Raises:
        InputError: it is no archive or is damaged; a part is encrypted, shares bytes or its name
            with another, lies outside, or is compressed in a way that is not taken.
    """

    def __init__(self, file: BinaryIO, origin: str, most: str = "unpacked") -> None:
        self._origin = origin
        end = _directory(file, origin)
        try:
            self._archive = zipfile.ZipFile(file)
        except (*_DAMAGE, ValueError, struct.error) as error:
            raise self._refused(f"it is no intact zip archive: {error}") from error
        parts = self._archive.infolist()
        self._infos = {part.filename: part for part in parts}
        if len(self._infos) != len(parts):
            raise self._refused("two of its parts have one name")
        self._check(end)
        self._most, self._unpacked = most, 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts."""
        return tuple(self._infos)

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def size(self, name: str) -> int:
        """Return the bytes of a part, unpacked."""
        return self._infos[name].file_size

    def read(self, name: str) -> bytes:
        """Return what a part holds.

        Raises:
            DamagedPartError: it does not match its checksum, or is damaged in another way.
        """
        content = np.empty(self.size(name), np.uint8)
        with self.opened(name) as part:
            fill(part, content)
        return content.tobytes()

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """Open a part; once it has been read to its end, its checksum is compared.

        Raises:
            DamagedPartError: see :meth:`read`.
        """
        info = self._infos[name]
        if info.file_size > _TIMES * info.compress_size:
            self._unpacked += info.file_size
            check_limit(self._most, self._unpacked, f"{self._origin}: its parts, unpacked")
        checksum = info.CRC
        if not checksum:  # torch was told to write none
            del info.CRC
        try:
            with self._archive.open(info) as part:
                yield part
                if part.read(1):  # which also compares the checksum
                    raise zipfile.BadZipFile("it is longer than the archive says")
        except _DAMAGE as error:
            raise DamagedPartError(
                f"{self._origin} is damaged: {_short(name)} does not match its checksum; download "
                "or copy it again"
            ) from error
        finally:
            info.CRC = checksum

    def _check(self, directory: int) -> None:
        end = 0
        for part in sorted(self._infos.values(), key=lambda part: part.header_offset):
            name = _short(part.filename)
            if part.flag_bits & 1:
                raise self._refused(f"its part {name} is encrypted")
            if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self._refused(f"its part {name} is compressed in a way that is not read")
            if part.compress_type == zipfile.ZIP_STORED and part.compress_size != part.file_size:
                raise self._refused(f"its part {name} has two sizes")
            if part.header_offset < end:
                raise self._refused(f"its part {name} lies in another")
            end = part.header_offset + _LOCAL_LENGTH + part.compress_size
        if end > directory:
            raise self._refused("one of its parts lies outside it")

    def _refused(self, reason: str) -> InputError:
        return InputError(f"cannot read {self._origin}: {reason}; download or copy it again")


def fill(file: IO[bytes], content: npt.NDArray[np.uint8]) -> None:
    """Fill an array of bytes, shape (n,), from a file, in pieces.

    Raises:
        EOFError: the file ends before.
    """
    done = 0
    while done < len(content):
        piece = file.read(min(_PIECE, len(content) - done))
        if not piece:
            raise EOFError("it ends too early")
        content[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)


def _directory(file: BinaryIO, origin: str) -> int:
    """Return where the list of an archive's parts begins, once it is known not to be too long."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _MOST_AT_THE_END))
    tail = file.read()
    file.seek(0)
    at = _end_of_archive(tail)
    if at is None:
        raise InputError(
            f"cannot read {origin}: it was cut short, or something stands behind it, for it does "
            "not end as a zip archive does; download or copy it again"
        )
    length, start = struct.unpack("<II", tail[at + 12 : at + 20])
    before = at - _LOCATOR_LENGTH
    if before >= _LONG_END_LENGTH and tail[before:].startswith(_LOCATOR):
        length, start = struct.unpack("<QQ", tail[before - 16 : before])
    check_limit("header", length, f"{origin}: the list of its parts")
    if start + length > size:
        raise InputError(
            f"cannot read {origin}: the list of its parts lies outside it; download or copy it "
            "again"
        )
    return int(start)


def _end_of_archive(tail: bytes) -> int | None:
    """Return where the record at the end of an archive begins; behind it is a comment alone.

    It is the one that ``zipfile`` finds: of several, the last.
    """
    plain = len(tail) - _END_LENGTH
    at = (
        plain if tail[-2:] == b"\0\0" and tail.startswith(_END, max(0, plain)) else tail.rfind(_END)
    )
    if at < 0 or at > plain:
        return None
    (comment,) = struct.unpack("<H", tail[at + _END_LENGTH - 2 : at + _END_LENGTH])
    return at if at + _END_LENGTH + comment == len(tail) else None


def _short(name: str) -> str:
    return name[:60] if name.isprintable() else repr(name[:60])
