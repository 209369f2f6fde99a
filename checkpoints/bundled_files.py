"""The bundled checkpoints: which there are, which are installed, and whether they are sound.

The manifest names every file of the source repository with its SHA-256. A wheel carries the few of
them that the README's commands and the docstrings' examples read; the others lie in the repository
alone, and who asks for one is told where.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path

from spectra.errors import InputError

BUNDLED = "bundled:"
MANIFEST = "MANIFEST.json"
# What a wheel carries: the network of the walkthrough, and what each recipe ends in (1.2 MB; all
# together are 12.7 MB). setup.cfg lists the same patterns.
INSTALLED = ("digits/ce-drw/*", "digits/*/epoch-0200.safetensors")
_LISTED = "'spectra checkpoints list' names them"
_PLACE = "checkpoints/bundled"


@dataclass(frozen=True)
class BundledFile:
    """A line of the manifest.

    Attributes:
        run: ``digits/ce-drw``.
        epoch: epochs done.
        path: where the file lies if it is installed.
        sha256: of its bytes.
    """

    run: str
    epoch: int
    path: Path
    sha256: str

    @property
    def is_here(self) -> bool:
        """Whether the file is installed; always so in a clone."""
        return self.path.is_file()

    def check(self) -> None:
        """Compare the file with its digest: a bit that has changed changes every result.

        Raises:
            InputError: it is damaged, or missing.
        """
        if not self.is_here:
            raise InputError(f"bundled file {self._name} is missing; reinstall hessian-spectra")
        if hashlib.sha256(self.path.read_bytes()).hexdigest() != self.sha256:
            raise InputError(f"bundled file {self._name} is damaged; reinstall hessian-spectra")

    @property
    def _name(self) -> str:
        return f"{self.run}/{self.path.name}"


def bundled_runs() -> dict[str, list[int]]:
    """Return the runs and epochs that are installed: ``{"digits/ce-drw": [10, 50, ...], ...}``."""
    runs: dict[str, list[int]] = {}
    for file in listed_files():
        if file.is_here:
            runs.setdefault(file.run, []).append(file.epoch)
    return runs


def listed_files() -> list[BundledFile]:
    """Return what the manifest lists, by run and epoch; nothing where there is no manifest.

    Raises:
        InputError: the manifest is damaged.
    """
    folder = bundled_folder()
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return []
    try:
        digests = json.loads(manifest.read_text(encoding="utf-8"))["sha256"]
    except (ValueError, KeyError) as failure:
        raise InputError(f"{manifest} is damaged; reinstall hessian-spectra") from failure
    found = []
    for name, digest in digests.items():
        match = re.fullmatch(r"(.+)/epoch-(\d+)\.safetensors", name)
        if match:
            found.append(BundledFile(match[1], int(match[2]), folder / name, digest))
    return sorted(found, key=lambda file: (file.run, file.epoch))


def bundled_run(run: str) -> list[BundledFile]:
    """Return the files of a run, in the order of training.

    Raises:
        InputError: there is no such run, or some of its epochs are not installed.
    """
    files = _files_of(run)
    absent = [str(file.epoch) for file in files if not file.is_here]
    if absent:
        here = [f"{BUNDLED}{run}@{file.epoch}" for file in files if file.is_here]
        raise InputError(
            f"of {BUNDLED}{run} the epochs {', '.join(absent)} are not installed; they lie in the "
            f"source repository, in {_PLACE}/{run}: download that folder and give its path"
            + (f", or name {' or '.join(here)}" if here else "")
        )
    return files


def bundled_file(run: str, epoch: int | None) -> Path:
    """Return where a bundled checkpoint lies; without an epoch the last one's.

    Raises:
        InputError: there is none of that name, or it is not installed.
    """
    files = {file.epoch: file for file in _files_of(run)}
    wanted = files.get(max(files) if epoch is None else epoch)
    if wanted is None:
        known = ", ".join(map(str, files))
        raise InputError(f"{BUNDLED}{run} has no checkpoint of epoch {epoch}; it has {known}")
    if not wanted.is_here:
        raise InputError(
            f"{BUNDLED}{run}@{wanted.epoch} is not installed; it lies in the source repository, at "
            f"{_PLACE}/{run}/{wanted.path.name} (SHA-256 {wanted.sha256}): download it and give "
            "its path"
        )
    return wanted.path


def check_if_bundled(path: Path) -> None:
    """Compare a file with its digest where it is one of the bundled set; others are left alone.

    Raises:
        InputError: it is damaged.
    """
    if path.suffix != ".safetensors" or not path.resolve().is_relative_to(bundled_folder()):
        return
    for file in listed_files():
        if file.path == path.resolve():
            file.check()


def verify_bundled() -> int:
    """Check the files that are here against the manifest and return how many there are.

    Raises:
        InputError: a file is missing that is installed everywhere, or changed, or not listed.
    """
    files = listed_files()
    folder = bundled_folder()
    present = {path.relative_to(folder).as_posix() for path in folder.glob("*/*/*.safetensors")}
    unknown = present - {file.path.relative_to(folder).as_posix() for file in files}
    if unknown:
        raise InputError(
            f"the manifest of the bundled files lacks {', '.join(sorted(unknown)[:3])}"
        )
    checked = [file for file in files if file.is_here or _is_installed(file)]
    for file in checked:
        file.check()
    return len(checked)


def bundled_folder() -> Path:
    """Return where the bundled files lie."""
    return Path(str(resources.files("checkpoints"))).resolve() / "bundled"


def _is_installed(file: BundledFile) -> bool:
    return any(fnmatchcase(f"{file.run}/{file.path.name}", pattern) for pattern in INSTALLED)


def _files_of(run: str) -> list[BundledFile]:
    files = [file for file in listed_files() if file.run == run]
    if not files:
        raise InputError(f"no bundled run {run!r}; {_LISTED}")
    return files
