"""Asking a server for a file, or for the rest of one."""

import http.client
import urllib.request
from typing import Any

from checkpoints.data.downloads.address import read_address, read_redirect
from checkpoints.data.downloads.deadline import Deadline


def open_address(url: str, start: int, timeout: float, deadline: Deadline) -> Any:
    """Return the answer of a server, an open ``http.client.HTTPResponse``.

    Proxies are those of the environment (``https_proxy``), but for this machine none.

    Args:
        url: of a file.
        start: the first byte that is wanted.
        timeout: seconds without a byte.
        deadline: what ends the connection.

    Raises:
        InputError: the address is none, or that of a redirect.
        OSError: the network failed, or the server answered that it will not.
        http.client.HTTPException: what answered is no server of http.
        ValueError: the environment names a proxy that is none.
    """
    headers = {"User-Agent": "hessian-spectra", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    proxies: dict[str, str] | None = {} if read_address(url).scheme == "http" else None
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(proxies),
        _Http(deadline),
        _Https(deadline),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self.deadline = deadline

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_watched(http.client.HTTPConnection, self.deadline), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self.deadline = deadline

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_watched(http.client.HTTPSConnection, self.deadline), req)


def _watched(kind: type[http.client.HTTPConnection], deadline: Deadline) -> Any:
    """Return a kind of connection whose sockets the deadline knows before anything is sent."""

    def connection(*args: Any, **options: Any) -> http.client.HTTPConnection:
        made = kind(*args, **options)
        connect = made._create_connection  # type: ignore[attr-defined]

        def watched(*where: Any) -> Any:
            line = connect(*where)
            deadline.watch(line)
            return line

        made._create_connection = watched  # type: ignore[attr-defined]
        return made

    return connection


class _Redirects(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        place = headers.get("location")
        if place is not None:
            fp.close()  # urllib would read its body, of whatever length
            read_redirect(req.full_url, place)
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302
