"""The official CIFAR archives: downloaded, verified, safely unpacked."""

import gzip
import os
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from checkpoints.data.cifar import FOLDERS, damaged_files, official_digests
from checkpoints.data.downloads.deadline import Patience
from checkpoints.data.downloads.download import RemoteFile, download
from spectra.errors import InputError
from spectra.system.files.lock import locked
from spectra.system.files.places import refuse_elsewhere, writing_under
from spectra.system.files.reading import file_digest
from spectra.system.progress import Progress

# Source of the digests: the file hashes of keras.datasets.cifar10 and cifar100.
ARCHIVES = {
    "cifar10": RemoteFile(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        170_498_071,
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar100": RemoteFile(
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        169_001_437,
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
}


def fetch(
    name: str,
    folder: Path,
    *,
    archive: RemoteFile | None = None,
    digests: Mapping[str, str] | None = None,
    patience: Patience | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """Download and unpack ``cifar10`` or ``cifar100``, unless it is already there.

    A download that was cut short stays as ``<archive>.part`` and is continued by the next call.
    Files that are already unpacked but damaged are replaced. The folder is locked meanwhile.

    Args:
        name: ``cifar10`` or ``cifar100``.
        folder: where the archive and the unpacked folder go; made if need be.
        archive: what is downloaded, such as the official one from a mirror; None: from its authors.
        digests: MD5 of each unpacked file; None: the official ones.
        patience: how long to wait for the network; None: as :class:`Patience` says.
        on_progress: called with (name, bytes that are here, bytes in all).

    Returns:
        The unpacked folder, ``cifar-10-batches-py`` or ``cifar-100-python`` under ``folder``.

    Raises:
        InputError: the network failed (calling again resumes), the file is not the official one, or
            another process is at work in the folder.
    """
    wanted = official_digests(name) if digests is None else digests
    known = archive or ARCHIVES[name]
    target = folder / FOLDERS[name]
    path = folder / ARCHIVES[name].url.rpartition("/")[2]

    def counted(done: int) -> None:
        if on_progress is not None:
            on_progress(name, done, known.length)

    try:
        if not damaged_files(target, wanted):
            return target
        with writing_under(folder), locked(folder):
            if file_digest(path) != known.sha256:
                download(known, path, patience=patience, on_bytes=counted)
            if damaged_files(target, wanted):  # else another process was here first
                _unpack(path, target, wanted)
    except OSError as error:
        raise InputError(
            f"cannot keep {name} in {folder}: {error.strerror or error}"
            f"{f' at {error.filename}' if error.filename else ''}; what came is kept, run again to "
            "go on"
        ) from None
    return target


def _unpack(path: Path, target: Path, wanted: Mapping[str, str]) -> None:
    """Unpack beside ``target`` and move it there once every file is known to be right."""
    for place in (target / file for file in wanted):
        refuse_elsewhere(place)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as scratch:
        try:
            with tarfile.open(path, "r:gz") as tar:
                tar.extractall(scratch, filter="data")
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"cannot unpack {path}: {error}; delete it and run again") from None
        fresh = Path(scratch) / target.name
        wrong = damaged_files(fresh, wanted)
        if wrong:
            raise InputError(
                f"{path} should hold {target.name} with {', '.join(wanted)}; missing or wrong: "
                f"{', '.join(wrong)}; delete it and run again"
            )
        if not target.exists():
            os.replace(fresh, target)
            return
        for file in wanted:
            os.replace(fresh / file, target / file)
