"""Files of ``torch.save``, read by torch's restricted reader: tensors and plain values alone."""

import io
import re
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from checkpoints.formats.inert import ADMITTED
from checkpoints.formats.protocols import ZIP, begins, holds_modules, in_protocol_2, names_in
from spectra.errors import InputError

_SAVE = "save model.state_dict() where the file comes from"


def read_torch(path: Path) -> Any:
    """Return what a file of ``torch.save`` holds; nothing in it is executed.

    Pickles of every protocol from 2, in torch's zip format and in the older one. What is admitted
    beside tensors and plain values stands in :mod:`checkpoints.formats.inert`.

    Raises:
        InputError: the file holds something else, which is named, or is damaged.
    """
    try:
        rewritten = in_protocol_2(path)
        source: Any = path if rewritten is None else io.BytesIO(rewritten)
        with torch.serialization.safe_globals(ADMITTED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of is in the error, if it matters
            content = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises nearly anything on a damaged file
        raise InputError(_unreadable(path, str(error))) from None
    _check_sums(path)
    return content


def refuse_what_is_no_checkpoint(path: Path) -> None:
    """Look at the first bytes of a file that was named as a checkpoint.

    Raises:
        InputError: it is empty, a Git LFS pointer, a web page, or not there.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if not start:
        raise InputError(f"{path} is empty; download or copy it again")
    if start.startswith(b"version https://git-lfs"):
        raise InputError(
            f"{path} is a Git LFS pointer, which stands for the weights and does not hold them; "
            "fetch them with 'git lfs pull' in the repository it comes from"
        )
    if re.match(rb"\s*<(!doctype|html|\?xml|head)", start, flags=re.IGNORECASE):
        raise InputError(
            f"{path} is a web page, no readable checkpoint: a sign-in or download page was saved "
            "in its place; download the file itself"
        )
    if start.startswith(b"\x89HDF"):
        raise InputError(
            f"{path} is an HDF5 file, as Keras writes it; expected a file that torch.save wrote"
        )


def _check_sums(path: Path) -> None:
    """Hold a zip file against its checksums, which torch writes and does not read."""
    if not begins(path, ZIP):
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
        return _asks_for(path, match[1])
    if match := re.search(r"GLOBAL (\w+) was not", message):
        return _asks_for(path, f"builtins.{match[1]}")
    if "TorchScript" in message:
        return f"{path} is a TorchScript archive, which is code; {_SAVE}"
    told = message.rpartition("WeightsUnpickler error: ")[2].strip() or "no reason given"
    reason = re.split(r"\.\s|\n", told)[0][:120]
    if "Unsupported operand" in reason and begins(path, b"\x80", ZIP):
        return (
            f"{path} holds a pickle instruction that torch.save does not write ({reason}), or is "
            "damaged; save model.state_dict() with torch.save where the file comes from"
        )
    return (
        f"{path} is no readable checkpoint, or it was cut short ({reason}); expected a file "
        "that torch.save wrote, download or copy it again"
    )


def _asks_for(path: Path, name: str) -> str:
    """Say what a refused class or function means: a whole network most often."""
    names = (name, *names_in(path))
    if any(other.startswith("torch.nn.modules.") for other in names) and holds_modules(path):
        return (
            f"{path} holds a whole pickled network ({name}), which could only be read by running "
            "its code; save model.state_dict() where the file comes from, and name the network "
            "with --arch FILE.py:CLASS"
        )
    if name == "torch.storage._load_from_bytes":
        return f"{path} was written by pickle, not by torch.save; torch.save the state dict instead"
    return (
        f"{path} asks for {name}, and only tensors and plain values are read from "
        f"strangers' files; {_SAVE}"
    )
