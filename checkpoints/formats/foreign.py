"""Strangers' checkpoints: ``.pth .pt .th .pth.tar .safetensors`` files of other code bases."""

import re
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from checkpoints.checkpoint import Checkpoint
from checkpoints.data.dataset import Normalisation
from checkpoints.formats.contents import find_state
from checkpoints.formats.native import read_plain
from checkpoints.formats.recognise import (
    HOLDERS,
    WRAPPERS,
    infer_architecture,
    rename_keys,
    strip_prefixes,
    user_architecture,
)
from checkpoints.formats.run_names import read_names
from spectra.errors import InputError

SUFFIXES = (".pth.tar", ".pth", ".pt", ".th", ".tar", ".ckpt", ".bin", ".safetensors")

# The published SAM code keeps numpy scalars beside the weights. They hold numbers and call nothing.
_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
_SCALAR: Any = np.float16(0).__reduce__()[0]
_ADMITTED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    np.dtype,
    *[type(np.dtype(code)) for code in _NUMBERS],
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
]


def load_foreign(
    path: Path,
    *,
    arch: str | None = None,
    num_classes: int | None = None,
    head: str | None = None,
    shortcut: str | None = None,
    normalisation: Normalisation | None = None,
    in_channels: int | None = None,
    image_size: int | None = None,
) -> Checkpoint:
    """Read weights that another code base wrote, and infer what they are weights of.

    Understood are a bare state dict, and one under ``state_dict``, ``model_state_dict``, ``model``
    or ``net``, nested or not; averages (``model_ema``, ...) where there is nothing else; in
    safetensors, torch's zip format or the older one; with the prefixes of DataParallel,
    torch.compile and, unless ``arch`` is a factory, of an attribute that holds the whole network.
    Nothing in the file is executed. Every option that is not None replaces what the file tells.

    Args:
        path: the file; its name and its folder's may tell the recipe.
        arch: one of ``ARCHITECTURES``, or ``module:factory``, whose keys are left as they are.
        num_classes: outputs.
        head: ``linear`` or ``cosine``.
        shortcut: ``A`` or ``B``.
        normalisation: what the images went through in training.
        in_channels: channels of the images.
        image_size: height = width of the images in pixels.

    Raises:
        InputError: the file is damaged, holds more than tensors and plain values, or its
            architecture cannot be inferred.
    """
    found = find_state(path, _read(path))
    options: dict[str, Any] = {
        "num_classes": num_classes,
        "head": head,
        "shortcut": shortcut,
        "in_channels": in_channels,
        "image_size": image_size,
    }
    try:
        if arch is not None and ":" in arch:
            state = strip_prefixes(found.state, WRAPPERS)
            architecture = user_architecture(state, arch, **options)
        else:
            state = rename_keys(strip_prefixes(found.state, (*WRAPPERS, *HOLDERS)))
            architecture = infer_architecture(state, arch=arch, **options)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    names = read_names(
        path.absolute().parent.name,
        path.name,
        head=architecture.head,
        num_classes=architecture.num_classes,
    )
    notes = [*found.notes, *names.notes]
    normalisation = normalisation or names.normalisation
    if normalisation is None:
        notes.append(
            "the file does not tell how images were normalised: the data's default is used unless "
            "--normalisation says otherwise"
        )
    stem = next((path.name.removesuffix(s) for s in SUFFIXES if path.name.endswith(s)), path.name)
    return Checkpoint(
        name=f"{names.label}_{stem}" if names.label else stem,
        state=state,
        architecture=architecture,
        normalisation=normalisation,
        epoch=found.epoch,
        recipe=names.recipe,
        class_counts=names.class_counts,
        metrics=found.metrics,
        seed=names.seed,
        notes=tuple(notes),
    )


def _read(path: Path) -> Any:
    if path.is_dir():
        raise InputError(f"expected a checkpoint file, got the folder {path}; name a file in it")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if size == 0:
        raise InputError(f"{path} is empty; download or copy it again")
    if path.suffix == ".safetensors":
        return read_plain(path)
    try:
        with torch.serialization.safe_globals(_ADMITTED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of is in the error, if it matters
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises nearly anything on a damaged file
        raise InputError(_unreadable(path, str(error))) from None
    _check_sums(path)
    return content


def _begins(path: Path, *starts: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith(starts)


def _check_sums(path: Path) -> None:
    """Hold a zip file against its checksums, which torch writes and does not read."""
    if not _begins(path, b"PK\x03\x04"):
        return
    part = "the list of its parts"
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                part = info.filename
                if not info.CRC:  # torch was told to write none
                    continue
                with archive.open(info) as file:
                    while file.read(2**20):
                        pass
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):
        raise InputError(
            f"{path} is damaged: {part} does not match its checksum; download or copy it again"
        ) from None


def _unreadable(path: Path, message: str) -> str:
    """Say in one line what torch says in many."""
    if match := re.search(
        r"(?:GLOBAL|global|class|function) ['\"]?([A-Za-z_][\w.]*\.\w+)", message
    ):
        return (
            f"{path} asks for {match[1]}, and only tensors and plain values are read from "
            "strangers' files; save model.state_dict() where the file comes from"
        )
    if "TorchScript" in message:
        return f"{path} is a TorchScript archive; save model.state_dict() where it comes from"
    told = message.rpartition("WeightsUnpickler error: ")[2].strip() or "no reason given"
    reason = re.split(r"\.\s|\n", told)[0][:120]
    if "Unsupported operand" in reason and _begins(path, b"\x80", b"PK\x03\x04"):
        return (
            f"{path} holds a pickle instruction that torch.save does not write ({reason}), or is "
            "damaged; save model.state_dict() with torch.save where the file comes from"
        )
    return (
        f"{path} is no readable checkpoint, or it was cut short ({reason}); expected a file "
        "that torch.save wrote, download or copy it again"
    )
