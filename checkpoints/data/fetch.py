"""Download the official CIFAR archives: resumable, limited, verified, safely unpacked.

Not by pooch (tried: 1.9.0), which throws away what came before a connection broke and begins anew,
and reads on for as long as a server sends.
"""

import gzip
import hashlib
import http.client
import os
import re
import ssl
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from checkpoints.data.cifar import FOLDERS, damaged_files, official_digests
from spectra.errors import InputError
from spectra.system.progress import Progress

_CHUNK = 1 << 16
# Ours: six times the larger archive. What is longer is not it, and fills no disk.
LIMIT = 1 << 30


@dataclass(frozen=True)
class Archive:
    """An archive on the network.

    Attributes:
        url: where it is.
        md5: of the whole file.
    """

    url: str
    md5: str


ARCHIVES = {
    "cifar10": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
    ),
    "cifar100": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
    ),
}


def fetch(
    name: str,
    folder: Path,
    *,
    url: str | None = None,
    on_progress: Progress | None = None,
    md5: str | None = None,
    digests: Mapping[str, str] | None = None,
    timeout: float = 30.0,
) -> Path:
    """Download and unpack ``cifar10`` or ``cifar100``, unless it is already there.

    A download that was cut short stays as ``<archive>.part`` and is continued by the next call.
    Files that are already unpacked but damaged are replaced.

    Args:
        name: ``cifar10`` or ``cifar100``.
        folder: where the archive and the unpacked folder go; made if need be.
        url: of a mirror; https only, except on this machine.
        on_progress: called with (name, bytes that are here, bytes in all; 0 where the server does
            not say).
        md5: of the archive; None: the official one.
        digests: MD5 of each unpacked file; None: the official ones.
        timeout: seconds without a byte before giving up.

    Returns:
        The unpacked folder, ``cifar-10-batches-py`` or ``cifar-100-python`` under ``folder``.

    Raises:
        InputError: the network failed (calling again resumes), or the file is not the official one.
    """
    official = official_digests(name)
    wanted = official if digests is None else digests
    archive = Archive(url or ARCHIVES[name].url, md5 or ARCHIVES[name].md5)
    _check_url(archive.url)
    target = folder / FOLDERS[name]
    path = folder / ARCHIVES[name].url.rpartition("/")[2]
    part = path.with_name(path.name + ".part")

    def counted(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(name, done, total)

    try:
        if not damaged_files(target, wanted):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or _md5(path) != archive.md5:
            _download(archive.url, part, counted, timeout)
            _verify(part, archive)
            part.replace(path)
        _unpack(path, target, wanted)
    except OSError as error:
        raise InputError(f"cannot keep {name} in {folder}: {error.strerror or error}") from None
    return target


def _check_url(url: str) -> None:
    split = urlsplit(url)
    loopback = split.hostname in ("localhost", "127.0.0.1", "::1")
    if split.scheme != "https" and not (split.scheme == "http" and loopback):
        raise InputError(f"downloads go over https only, got {url}; give an https address")


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        _check_url(args[-1])
        return super().redirect_request(*args)


def _open(url: str, start: int, timeout: float) -> Any:
    headers = {"User-Agent": "hessian-spectra"}
    if start:
        headers["Range"] = f"bytes={start}-"
    handlers: list[urllib.request.BaseHandler] = [_CheckedRedirects()]
    if urlsplit(url).scheme == "http":  # this machine: never through a proxy
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=headers)
    return urllib.request.build_opener(*handlers).open(request, timeout=timeout)


def _download(url: str, part: Path, counted: Callable[[int, int], None], timeout: float) -> None:
    """Bring ``part`` to its full length, from wherever it stands."""
    start = part.stat().st_size if part.exists() else 0
    try:
        response = _open(url, start, timeout)
    except urllib.error.HTTPError as error:
        with error:
            code, reason, said = error.code, error.reason, error.headers.get("Content-Range", "")
        if code != 416 or not start:
            raise InputError(
                f"{url} answered {code} {reason}; check the address, or run again later"
            ) from None
        if said.rpartition("/")[2] != str(start):  # not simply complete: longer than the file
            part.unlink()
            _download(url, part, counted, timeout)
        return
    except (OSError, http.client.HTTPException) as error:
        raise _network_failure(url, error, start) from None
    with response:
        resumed = re.match(
            rf"bytes {start}-\d+/(\d+|\*)$", response.headers.get("Content-Range", "")
        )
        if response.status == 206 and not resumed:
            raise InputError(
                f"{url} answered with another range than the one asked for; delete {part} and run "
                "again"
            )
        done = start if response.status == 206 else 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else None
        with part.open("ab" if done else "wb") as file:
            while True:
                counted(done, total or 0)
                if done > LIMIT:
                    break
                try:
                    chunk = response.read(_CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise _network_failure(url, error, done) from None
                if not chunk:
                    break
                file.write(chunk)
                done += len(chunk)
    if done > LIMIT:
        part.unlink()
        raise InputError(
            f"{url} sends more than {LIMIT >> 20} MiB, which no official archive has; the download "
            "was deleted, check the address"
        )
    if total is not None and done < total:
        raise _network_failure(url, f"the connection closed before byte {total}", done)


def _network_failure(url: str, error: Exception | str, done: int) -> InputError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLError):
        return InputError(f"the certificate or encryption of {url} failed: {reason}")
    return InputError(
        f"download of {url} failed after {done} bytes: {reason or type(reason).__name__}; "
        "run again to resume"
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _verify(part: Path, archive: Archive) -> None:
    got = _md5(part)
    if got != archive.md5:
        part.unlink()
        raise InputError(
            f"{archive.url} is not the official archive: expected MD5 {archive.md5}, got {got}; "
            "the download was deleted, run again or give another --url"
        )


def _unpack(path: Path, target: Path, wanted: Mapping[str, str]) -> None:
    """Unpack beside ``target`` and move it there once every file is known to be right."""
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
