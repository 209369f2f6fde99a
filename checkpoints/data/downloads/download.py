"""Downloading one file whose length and SHA-256 are known: resumable, limited, verified.

Not by pooch (tried: 1.9.0), which throws away what came before a connection broke and begins anew,
and reads on for as long as a server sends.
"""

import http.client
import re
import ssl
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints.data.downloads.address import read_address
from checkpoints.data.downloads.connection import open_address
from checkpoints.data.downloads.deadline import Deadline, Patience
from checkpoints.data.downloads.part import Part
from spectra.errors import InputError
from spectra.system.foreign_text import short_name

_CHUNK = 1 << 16
_FAILURES = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True)
class RemoteFile:
    """A file on the network.

    Attributes:
        url: where it is; https only, except on this machine.
        length: of the whole, bytes.
        sha256: of the whole, in hexadecimal digits.
    """

    url: str
    length: int
    sha256: str


def download(
    file: RemoteFile,
    path: Path,
    *,
    patience: Patience | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> None:
    """Bring ``file`` to ``path``, which nothing reaches but the right bytes.

    What came before the connection broke stays as ``<path>.part``, and the next call goes on from
    there. It is asked for by its place alone, without the server's name for its version: what is
    right is known by its digest, and mirrors name the same bytes otherwise.

    Args:
        file: what is wanted.
        path: where it goes; its folder is there.
        patience: how long to wait; None: as :class:`Patience` says.
        on_bytes: called with the number of bytes that are here.

    Raises:
        InputError: the network failed (calling again resumes); or what came is not the file, of
            which nothing is kept then.
        OSError: the disk failed; what came is kept.
    """
    read_address(file.url)
    part = Part(path.with_name(path.name + ".part"))
    with part:
        if part.size > file.length:
            part.empty()
        if part.size < file.length:
            _Transfer(file, part, patience or Patience(), on_bytes or (lambda _: None)).run()
        if part.sha256() != file.sha256:
            part.remove()
            raise InputError(
                f"what came from {file.url} is another file: expected SHA-256 {file.sha256}, got "
                f"{part.sha256()}; it was deleted, run again or give another --url"
            )
        part.flush()
    part.path.replace(path)


@dataclass(frozen=True)
class _Transfer:
    """The bytes of a file that are missing, on their way."""

    file: RemoteFile
    part: Part
    patience: Patience
    on_bytes: Callable[[int], None]

    def run(self) -> None:
        """Bring the part to its full length."""
        deadline = Deadline()
        with deadline.after(self.patience.deadline):
            response = self._answer(deadline)
            with response:
                self._read(response, deadline)

    def _answer(self, deadline: Deadline) -> Any:
        """Return an answer that goes on where the part ends, which is emptied if need be."""
        if self.part.size:
            response = self._asked(self.part.size, deadline)
            if response.status == 206 and self._goes_on(response):
                return response
            if response.status != 200:
                response.close()
                response = self._asked(0, deadline)
        else:
            response = self._asked(0, deadline)
        if response.status != 200:
            response.close()
            raise InputError(
                f"{self.file.url} answered {response.status} where a file was asked for; check the "
                "address or give another --url"
            )
        stated = response.headers.get("Content-Length", "")
        if re.fullmatch(r"\d{1,18}", stated):
            self._check_length(response, int(stated))
        self.part.empty()
        return response

    def _goes_on(self, response: Any) -> bool:
        """Say whether a partial answer is the rest that was asked for."""
        said = response.headers.get("Content-Range", "").strip()
        found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", said)
        if found is None or int(found[1]) != self.part.size:
            return False
        if found[2] != "*":
            self._check_length(response, int(found[2]))
        return True

    def _check_length(self, response: Any, came: int) -> None:
        if came != self.file.length:
            response.close()
            raise InputError(
                f"{self.file.url} has {came} bytes, expected {self.file.length}: it is another "
                "file, and nothing of it was kept; check the address or give another --url"
            )

    def _asked(self, start: int, deadline: Deadline) -> Any:
        url = self.file.url
        # The whole does not wait longer than it may take.
        wait = min(self.patience.timeout, self.patience.deadline)
        try:
            return open_address(url, start, wait, deadline)
        except urllib.error.HTTPError as error:
            error.close()
            hint = "check the address, or run again later"
            if error.code == 416:
                hint = f"it has no byte {start}; give another --url, or delete {self.part.path}"
            said = f"{error.code} {short_name(str(error.reason))}".strip()
            raise InputError(f"{url} answered {said}; {hint}") from None
        except InputError:
            raise
        except _FAILURES as error:
            raise self._failure(error, deadline) from None

    def _read(self, response: Any, deadline: Deadline) -> None:
        part, length = self.part, self.file.length
        self.on_bytes(part.size)
        while part.size < length:
            try:
                content = response.read1(_CHUNK)  # what is there: read() waits for all of it
            except _FAILURES as error:
                raise self._failure(error, deadline) from None
            if not content:
                raise self._failure(f"the connection closed before byte {length}", deadline)
            if part.size + len(content) > length:
                part.remove()
                raise InputError(
                    f"{self.file.url} sends more than {length} bytes: it is another file, and "
                    "nothing of it was kept; check the address or give another --url"
                )
            part.add(content)
            self.on_bytes(part.size)

    def _failure(self, error: Exception | str, deadline: Deadline) -> InputError:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        came = f"download of {self.file.url} failed after {self.part.size} bytes"
        if deadline.is_over:
            return InputError(
                f"{came}: it took longer than {self.patience.deadline:g} s; run again to resume, "
                "or give a longer --deadline"
            )
        if isinstance(reason, TimeoutError):
            return InputError(
                f"{came}: no byte for {self.patience.timeout:g} s; run again to resume, or give a "
                "longer --timeout"
            )
        if isinstance(reason, ssl.SSLError):
            return InputError(f"the certificate or encryption of {self.file.url} failed: {reason}")
        said = short_name(str(reason)) or type(reason).__name__
        if isinstance(reason, ValueError):
            return InputError(f"{came}: {said}; check https_proxy, if it is set")
        return InputError(f"{came}: {said}; run again to resume")
