"""Safetensors files: the header is held against the file before a tensor is made."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from spectra.errors import InputError
from spectra.results.plain import from_plain
from spectra.system.files.documents import parse_json
from spectra.system.files.limits import check_limit
from spectra.system.files.reading import opened

_LENGTH = 8  # bytes at the beginning, that say how long the header is
_METADATA = "__metadata__"
_BITS = re.compile(r"[A-Z]+(\d*)")


@dataclass(frozen=True)
class SafetensorsFile:
    """What a file holds.

    Attributes:
        metadata: text under names.
        tensors: on the CPU.
    """

    metadata: Mapping[str, str]
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class _Entry:
    """What the header says of a tensor."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def read_safetensors(path: Path) -> SafetensorsFile:
    """Read a file whole.

    Raises:
        InputError: it is no safetensors file, is damaged or larger than the limits.
    """
    with opened(path, "checkpoint_file") as file:
        metadata = _metadata(path, file)
        file.seek(0)
        content = file.read()
    try:
        return SafetensorsFile(metadata, safetensors.torch.load(content))
    except (SafetensorError, KeyError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"{path} is damaged or truncated: {error}") from error


def read_metadata_of(path: Path) -> Mapping[str, str]:
    """Return the metadata of a file, of which no tensor is read.

    Raises:
        InputError: as for :func:`read_safetensors`.
    """
    with opened(path, "checkpoint_file") as file:
        return _metadata(path, file)


def _metadata(path: Path, file: BinaryIO) -> Mapping[str, str]:
    """Return the metadata, once what the header says of each tensor has been found to be so."""
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(_LENGTH), "little")
    if size < _LENGTH or not 2 <= length <= size - _LENGTH:
        raise InputError(
            f"cannot read {path} as safetensors: its header should have {length} bytes, and the "
            f"file has {size}; it is none, or was cut short: download or copy it again"
        )
    check_limit("header", length, f"{path}: its header")
    try:
        text = file.read(length).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path} as safetensors: its header is no text") from error
    plain = parse_json(text, origin=str(path), what="safetensors")
    if not isinstance(plain, dict):
        raise InputError(f"cannot read {path} as safetensors: its header should be an object")
    found = plain.pop(_METADATA, None) or {}
    metadata = from_plain(found, dict[str, str], origin=f"{path}: {_METADATA}")
    entries = {}
    check_limit("tensors", len(plain), f"{path}: its tensors")
    for key, value in plain.items():
        check_limit("name", len(key), f"{path}: the key {key[:40]!r}...")
        entries[key] = from_plain(value, _Entry, origin=f"{path}: {key}")
    _check_places(path, entries, size - _LENGTH - length)
    return metadata


def _check_places(path: Path, entries: Mapping[str, _Entry], held: int) -> None:
    """Hold shapes and offsets against each other and the file.

    Raises:
        InputError: a tensor has other bytes than its shape takes, shares some with another, or
            lies outside the file; or there are bytes that belong to none.
    """
    end = 0
    for key, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        start, stop = entry.data_offsets
        match = _BITS.match(entry.dtype)
        bits = int(match[1] or 8) if match else 8  # BOOL
        if min((start, stop, *entry.shape)) < 0 or start != end:
            raise InputError(
                f"{path}: {key} should begin at byte {end}, where the tensor before it ends, got "
                f"{start}; the file is damaged, download or copy it again"
            )
        taken = math.prod(entry.shape) * bits // 8
        if stop - start != taken:
            raise InputError(
                f"{path}: {key} of shape {str(entry.shape)[:60]} takes "
                f"{taken if taken < 2**63 else 'too many'} bytes, and has {stop - start}; the file "
                "is damaged, download or copy it again"
            )
        end = stop
    if end != held:
        raise InputError(
            f"{path} is damaged or truncated: its tensors take {end} bytes, and it has {held}"
        )
