"""A server on this machine that does what a test asks of it, and what it serves."""

import hashlib
import io
import re
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from checkpoints.data.downloads.deadline import Patience
from checkpoints.data.downloads.download import RemoteFile
from checkpoints.data.fetch import fetch
from spectra.errors import InputError

FILES = {"train": b"t" * 5000 + bytes(range(256)) * 800, "test": b"s" * 3000}
NAME = "cifar-100-python.tar.gz"


def archive(files: dict[str, bytes], folder: str = "cifar-100-python") -> bytes:
    buffer = io.BytesIO()
    # Uncompressed inside, so that half the archive is a substantial number of bytes.
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}" if folder else name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


CONTENT = archive(FILES)
DIGESTS = {
    name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in FILES.items()
}


class Server(ThreadingHTTPServer):
    """Serves ``content``, or whatever ``answer`` writes.

    ``cut`` closes after that many bytes; ``ranges`` says that ranges are heeded, ``lengths`` that
    Content-Length is told; ``headers`` are sent beside the others.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut, self.ranges, self.lengths = CONTENT, None, True, True
        self.status = self.location = self.content_range = None
        self.headers: dict[str, str] = {}
        self.answer: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.requests: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/{NAME}"

    def file(self, **fields: object) -> RemoteFile:
        known = {
            "url": self.url,
            "length": len(CONTENT),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
        }
        return RemoteFile(**{**known, **fields})

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(self.headers.get("Range"))
        if server.answer is not None:
            server.answer(self)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and server.ranges else 0
        total = len(server.content)
        partial = bool(asked) and server.ranges
        status = server.status or (416 if start >= total else 206 if partial else 200)
        self.send_response(status)
        if server.location:
            self.send_header("Location", server.location)
        if status == 206:
            said = f"bytes {start}-{total - 1}/{total}"
            self.send_header("Content-Range", server.content_range or said)
        body = server.content[start:] if status < 300 else b"<html>no</html>"
        if server.lengths:
            self.send_header("Content-Length", str(len(body)))
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: server.cut])


@contextmanager
def running() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def drip(handler: BaseHTTPRequestHandler, head: bytes) -> None:
    """Send ``head``, and then a byte now and again for as long as somebody listens."""
    handler.wfile.write(head)
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.02)


def get(server: Server, folder: Path, *, digests=DIGESTS, on_progress=None, **fields) -> Path:
    patience = Patience(**{k: fields.pop(k) for k in ("timeout", "deadline") if k in fields})
    file = server.file(**fields)
    return fetch(
        "cifar100", folder, archive=file, digests=digests, patience=patience,
        on_progress=on_progress,
    )  # fmt: skip


def refused(server: Server, folder: Path, **fields: object) -> str:
    """Return the one line of a download that fails."""
    with pytest.raises(InputError) as error:
        get(server, folder, **fields)
    assert "\n" not in str(error.value)
    return str(error.value)


def cut_short(server: Server, folder: Path, after: int) -> None:
    server.cut = after
    refused(server, folder)
    server.cut = None


def part(folder: Path) -> Path:
    return folder / f"{NAME}.part"
