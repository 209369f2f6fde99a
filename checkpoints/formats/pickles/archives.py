"""The two forms of a file of ``torch.save``: a zip archive, and the older one without.

Both hold a pickle and the storages that it names. A storage is read once the file is known to hold
as many bytes as the pickle states; so no file asks for more memory than it has bytes.
"""

import io
import struct
import sys
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch
from torch import Tensor

from checkpoints.formats.pickles.machine import read_pickle
from checkpoints.formats.pickles.stand_ins import NotAdmittedError, integers
from checkpoints.formats.pickles.tensors import Element, Storage
from spectra.system.files.limits import check_limit, limit
from spectra.system.files.zip_parts import ZipParts, fill

ZIP = b"PK\x03\x04"
PICKLE = b"\x80"
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_TORCHSCRIPT = "constants.pkl"


class TorchScriptError(Exception):
    """The archive holds code."""


def read_archive(file: BinaryIO, origin: str) -> Any:
    """Return what a file of ``torch.save`` in the zip format holds.

    Raises:
        TorchScriptError: it holds code.
        InputError: it is damaged.
        UnpicklingError: torch writes no such archive. See :func:`read_pickle` for others.
    """
    archive = _Archive(file, origin)
    return read_pickle(io.BytesIO(archive.pickle()), origin, archive.storage)


def pickle_of_archive(file: BinaryIO, origin: str) -> bytes:
    """Return the pickle of an archive, unread."""
    return _Archive(file, origin).pickle()


class _Archive:
    """An archive of torch's: its pickle and its storages."""

    def __init__(self, file: BinaryIO, origin: str) -> None:
        self.origin, self.parts = origin, ZipParts(file, origin, "compressed_weights")
        names = self.parts.names
        if any(name.endswith(f"/{_TORCHSCRIPT}") for name in names):
            raise TorchScriptError
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UnpicklingError(f"the archive has {len(pickles)} parts data.pkl")
        self.root = pickles[0].removesuffix("data.pkl")
        order = f"{self.root}byteorder"
        little = order not in self.parts or self.parts.read(order) == b"little"
        self.swapped = little != (sys.byteorder == "little")
        self.storages: dict[str, Tensor] = {}

    def pickle(self) -> bytes:
        name = f"{self.root}data.pkl"
        check_limit("pickle", self.parts.size(name), f"{self.origin}: its pickle")
        return self.parts.read(name)

    def storage(self, reference: Any) -> Storage:
        """Return the storage that a pickle refers to."""
        element, key, count = _reference(reference)
        name = f"{self.root}data/{key}"
        nbytes = count * element.nbytes
        if name not in self.parts or self.parts.size(name) < nbytes:
            raise UnpicklingError(f"the archive lacks storage {key[:20]}, or a part of it")
        if key not in self.storages:
            content = torch.empty(self.parts.size(name), dtype=torch.uint8)
            with self.parts.opened(name) as part:
                fill(part, content.numpy())
            if self.swapped:
                _swap(content, element)
            self.storages[key] = content
        return Storage(self.storages[key][:nbytes], element)


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
        fill(file, held.numpy())
    if storages:
        raise UnpicklingError(f"{len(storages)} storages are missing")
    return content


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
