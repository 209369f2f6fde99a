"""Files of ``torch.save``: tensors and plain values alone; what else they hold is named."""

import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

from checkpoints.formats.pickles.archives import (
    PICKLE,
    ZIP,
    TorchScriptError,
    pickle_of_archive,
    read_archive,
    read_older,
)
from checkpoints.formats.pickles.machine import HoldsItselfError
from checkpoints.formats.pickles.stand_ins import NotAdmittedError
from spectra.errors import InputError
from spectra.system.files.limits import limit
from spectra.system.files.reading import opened

_SAVE = "save model.state_dict() where the file comes from"
# Where the name of a tar file says what it is; torch 0.1 wrote such files.
_TAR, _TAR_AT = b"ustar", 257


def read_torch(path: Path) -> Any:
    """Return what a file of ``torch.save`` holds; nothing in it is executed.

    Pickles of every protocol from 2, in torch's zip format and in the older one. What is admitted
    beside tensors and plain values stands in :mod:`checkpoints.formats.pickles.stand_ins`.

    Raises:
        InputError: the file holds something else, which is named, is damaged, or larger than the
            limits.
    """
    with opened(path, "checkpoint_file") as file:
        start = file.read(_TAR_AT + len(_TAR))
        try:
            if start.endswith(_TAR):
                raise UnpicklingError(
                    "a tar archive as torch wrote it before version 0.2, or of something else: "
                    "save it again with a newer torch"
                )
            if start.startswith(ZIP):
                return read_archive(file, str(path))
            if start.startswith(PICKLE):
                return read_older(file, str(path))
            raise UnpicklingError("it begins like no file of torch.save")
        except (InputError, MemoryError):
            raise
        except NotAdmittedError as error:
            raise InputError(_asks_for(path, file, error.name)) from None
        except TorchScriptError:
            raise InputError(f"{path} is a TorchScript archive, which is code; {_SAVE}") from None
        except Exception as error:  # a damaged file raises nearly anything
            raise InputError(_unreadable(path, error)) from None


def refuse_what_is_no_checkpoint(path: Path) -> None:
    """Look at the first bytes of a file that was named as a checkpoint.

    Raises:
        InputError: it is empty, a Git LFS pointer, a web page, no regular file, or not there.
    """
    with opened(path, "checkpoint_file") as file:
        start = file.read(512)
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


def _unreadable(path: Path, error: Exception) -> str:
    """Say what a damaged file or an unusual instruction means."""
    told = " ".join(str(error).split())[:160] or type(error).__name__
    if isinstance(error, KeyError | IndexError):
        told = "the pickle is damaged"
    if "Unsupported operand" in told:
        return (
            f"{path} holds a pickle instruction that torch.save does not write ({told}), or is "
            "damaged; save model.state_dict() with torch.save where the file comes from"
        )
    if isinstance(error, HoldsItselfError):  # whole, and no better when it is copied again
        return f"{path} is no readable checkpoint: {told}; {_SAVE}"
    return (
        f"{path} is no readable checkpoint, or it was cut short ({told}); expected a file "
        "that torch.save wrote, download or copy it again"
    )


def _asks_for(path: Path, file: BinaryIO, name: str) -> str:
    """Say what a refused class or function means: a whole network most often."""
    if _holds_modules(file, str(path)):
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


def _holds_modules(file: BinaryIO, origin: str) -> bool:
    """Say whether a file of ``torch.save`` holds modules, and not the names of their classes."""
    file.seek(0)
    if file.read(len(ZIP)) == ZIP:
        content = pickle_of_archive(file, origin)
    else:
        file.seek(0)
        content = file.read(limit("pickle"))
    return b"_parameters" in content and b"torch.nn.modules." in content
