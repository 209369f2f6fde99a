"""The two forms of a file of ``torch.save``: a zip archive, and the older one without.

Both hold a pickle and the storages that it names. A storage is read once the file is known to hold
as many bytes as the pickle states; so no file asks for more memory than it has bytes.
"""

import io
import struct
import sys
import zipfile
from pickle import UnpicklingError
from typing import IO, Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from checkpoints.formats.pickles.machine import read_pickle
from checkpoints.formats.pickles.stand_ins import NotAdmittedError, integers
from checkpoints.formats.pickles.tensors import Element, Storage
from spectra.system.files.limits import check_limit, limit

ZIP = b"PK\x03\x04"
PICKLE = b"\x80"
# How a zip file ends: of files above 4 GiB, and of torch's, two more records come before.
_END, _LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
_END_LENGTH, _LOCATOR_LENGTH, _LONG_END_LENGTH = 22, 20, 56
_LOCAL_LENGTH = 30  # bytes before the name of a part and its content
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_TORCHSCRIPT = "constants.pkl"
_PIECE = 2**24


class TorchScriptError(Exception):
    """The archive holds code."""


class DamagedPartError(Exception):
    """A part of an archive is not what its checksum says; the message is its name."""


def read_archive(file: BinaryIO, origin: str) -> Any:
    """Return what a file of ``torch.save`` in the zip format holds.

    Raises:
        TorchScriptError: it holds code.
        DamagedPartError: it is damaged.
        UnpicklingError: torch writes no such archive. See :func:`read_pickle` for others.
    """
    parts = _Parts(file, origin)
    return read_pickle(io.BytesIO(parts.pickle()), origin, parts.storage)


def pickle_of_archive(file: BinaryIO, origin: str) -> bytes:
    """Return the pickle of an archive, unread."""
    return _Parts(file, origin).pickle()


class _Parts:
    """The parts of a zip archive: none compressed, and each in a place of its own."""

    def __init__(self, file: BinaryIO, origin: str) -> None:
        self.file, self.origin = file, origin
        self.directory = _directory(file, origin)
        self.archive = zipfile.ZipFile(file)
        self.infos = {info.filename: info for info in self.archive.infolist()}
        if any(name.endswith(f"/{_TORCHSCRIPT}") for name in self.infos):
            raise TorchScriptError
        if len(self.infos) != len(self.archive.infolist()):
            raise UnpicklingError("two parts of the archive have one name")
        pickles = [name for name in self.infos if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UnpicklingError(f"the archive has {len(pickles)} parts data.pkl")
        self.root = pickles[0].removesuffix("data.pkl")
        self.swapped = self.is_swapped()
        self.check()
        self.storages: dict[str, Tensor] = {}

    def check(self) -> None:
        """Refuse parts that are compressed or encrypted, or that share bytes.

        Raises:
            UnpicklingError: so they are.
        """
        end = 0
        for info in sorted(self.infos.values(), key=lambda info: info.header_offset):
            if info.flag_bits & 1:
                raise UnpicklingError(f"part {info.filename[:80]} is encrypted")
            if info.compress_type or info.compress_size != info.file_size:
                raise UnpicklingError(f"part {info.filename[:80]} is compressed")
            if info.header_offset < end:
                raise UnpicklingError(f"part {info.filename[:80]} lies in another")
            end = info.header_offset + _LOCAL_LENGTH + info.file_size
        if end > self.directory:
            raise UnpicklingError("a part of the archive lies outside it")

    def is_swapped(self) -> bool:
        """Say whether numbers are stored in another order of bytes than this machine's."""
        info = self.infos.get(f"{self.root}byteorder")
        if info is None:
            return sys.byteorder != "little"
        return self.read(info).numpy().tobytes().decode("latin1") != sys.byteorder

    def pickle(self) -> bytes:
        info = self.infos[f"{self.root}data.pkl"]
        check_limit("pickle", info.file_size, f"{self.origin}: {info.filename[:80]}")
        return self.read(info).numpy().tobytes()

    def storage(self, reference: Any) -> Storage:
        """Return the storage that a pickle refers to."""
        element, key, count = _reference(reference)
        if key not in self.storages:
            info = self.infos.get(f"{self.root}data/{key}")
            if info is None or info.file_size < count * element.nbytes:
                raise UnpicklingError(f"the archive lacks storage {key[:20]}")
            self.storages[key] = self.read(info)
            if self.swapped:
                _swap(self.storages[key], element)
        return Storage(self.storages[key][: count * element.nbytes], element)

    def read(self, info: zipfile.ZipInfo) -> Tensor:
        """Return the bytes of a part."""
        if info.file_size > self.directory:
            raise UnpicklingError("a part of the archive lies outside it")
        if not info.CRC:  # torch was told to write no checksums
            del info.CRC
        content = torch.empty(info.file_size, dtype=torch.uint8)
        try:
            with self.archive.open(info) as part:
                _fill(part, content)
                if part.read(1):  # which also compares the checksum
                    raise zipfile.BadZipFile
        except (zipfile.BadZipFile, EOFError) as error:
            raise DamagedPartError(info.filename[:80]) from error
        finally:
            info.CRC = getattr(info, "CRC", 0)
        return content


def read_older(file: BinaryIO, origin: str) -> Any:
    """Return what a file of ``torch.save`` without a zip archive holds.

    Raises:
        UnpicklingError: torch writes no such file. See :func:`read_pickle` for others.
    """

    def none(reference: Any) -> Any:
        raise UnpicklingError("a storage is named too early")

    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    pickles = _Bounded(file, origin)
    if read_pickle(pickles, origin, none) != _MAGIC:
        raise UnpicklingError("it is a pickle, and not one of torch.save")
    if read_pickle(pickles, origin, none) != _VERSION:
        raise UnpicklingError("its version is none that torch has had")
    if read_pickle(pickles, origin, none).get("little_endian") is not True:
        raise UnpicklingError("it comes from a machine with another order of bytes")
    storages: dict[str, tuple[Tensor, Element]] = {}
    stated = 0

    def storage(reference: Any) -> Storage:
        nonlocal stated
        element, key, count = _reference(reference)
        nbytes = count * element.nbytes
        if key not in storages:
            stated += nbytes
            if stated > size:
                raise UnpicklingError("its storages are larger than the file")
            storages[key] = torch.zeros(nbytes, dtype=torch.uint8), element
        content = storages[key][0]
        if content.numel() != nbytes or storages[key][1] != element:
            raise UnpicklingError(f"storage {key[:20]} is there in two sizes")
        return Storage(_viewed(content, element, reference), element)

    content = read_pickle(pickles, origin, storage)
    for key in map(str, read_pickle(pickles, origin, none)):
        if key not in storages:
            raise UnpicklingError(f"nothing is known of storage {key[:20]}")
        held, element = storages.pop(key)
        (count,) = struct.unpack("<q", file.read(8))
        if count * element.nbytes != held.numel():
            raise UnpicklingError(f"storage {key[:20]} has another size than stated")
        _fill(file, held)
    if storages:
        raise UnpicklingError(f"{len(storages)} storages are missing")
    return content


def _directory(file: BinaryIO, origin: str) -> int:
    """Return where the list of an archive's parts begins, once it is known not to be too long.

    Raises:
        UnpicklingError: the archive does not end with it, as torch's archives do.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_LENGTH - _LONG_END_LENGTH - _LOCATOR_LENGTH))
    tail = file.read()
    end = tail[-_END_LENGTH:]
    if len(tail) < _END_LENGTH or not end.startswith(_END):
        raise UnpicklingError("the archive does not end with the list of its parts")
    length, start = struct.unpack("<II", end[12:20])
    if tail[-_END_LENGTH - _LOCATOR_LENGTH :].startswith(_LOCATOR):
        length, start = struct.unpack("<QQ", tail[40:56])
    check_limit("header", length, f"{origin}: the list of parts of the archive")
    if start + length > size:
        raise UnpicklingError("the list of the archive's parts lies outside it")
    return int(start)


def _reference(reference: Any) -> tuple[Element, str, int]:
    """Return element, key and number of elements of a storage that a pickle refers to."""
    if type(reference) is not tuple or len(reference) < 5:
        raise UnpicklingError("a reference is to something else than a storage")
    kind, element, key, _, count = reference[:5]
    if kind == "module":
        raise NotAdmittedError("torch.nn.modules.module.Module")
    if kind != "storage" or type(element) is not Element or type(key) not in (str, int):
        raise UnpicklingError("a reference is to something else than a storage")
    (number,) = integers((count,))
    return element, str(key), number


def _viewed(content: Tensor, element: Element, reference: tuple[Any, ...]) -> Tensor:
    """Return the bytes of the part of a storage that the older format can refer to."""
    view = reference[5] if len(reference) > 5 else None
    if view is None:
        return content
    start, count = integers(view[1:3])
    if (start + count) * element.nbytes > content.numel():
        raise UnpicklingError("a view lies outside its storage")
    return content[start * element.nbytes : (start + count) * element.nbytes]


def _swap(content: Tensor, element: Element) -> None:
    """Turn the bytes of each number round."""
    part = element.nbytes // (2 if element.dtype is not None and element.dtype.is_complex else 1)
    numbers = content.numpy()[: content.numel() // part * part].view(f"u{part}")
    numbers.byteswap(inplace=True)


def _fill(file: IO[bytes], content: Tensor) -> None:
    """Fill a tensor of bytes from a file, in pieces.

    Raises:
        EOFError: the file ends before.
    """
    done = 0
    while done < content.numel():
        piece = file.read(min(_PIECE, content.numel() - done))
        if not piece:
            raise EOFError("it ends within a storage")
        content.numpy()[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)


class _Bounded:
    """A file of which no more is read than a pickle may have."""

    def __init__(self, file: BinaryIO, origin: str) -> None:
        self.file, self.origin, self.taken = file, origin, 0

    def read(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        self.taken += count
        check_limit("pickle", self.taken, f"{self.origin}: its pickles")
        return self.file.read(count)

    def readline(self) -> bytes:
        """Return the rest of a line."""
        found = self.file.readline(limit("pickle") + 1)
        self.taken += len(found)
        check_limit("pickle", self.taken, f"{self.origin}: its pickles")
        return found
