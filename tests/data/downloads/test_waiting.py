"""No server holds a download up for longer than was said."""

import threading
import time

import pytest
from served import CONTENT, drip, part, refused

from checkpoints.data.downloads.deadline import Patience
from spectra.errors import InputError

HEAD = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n".encode()


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nA: ", HEAD + b"\r\n"], ids=["status", "header", "body"]
)
def test_a_server_that_drips_is_left_at_the_deadline(server, tmp_path, head):
    server.answer = lambda handler: drip(handler, head)
    began = time.monotonic()
    line = refused(server, tmp_path, deadline=0.2)
    # Twenty times the deadline is for a machine that is busy with other things.
    assert time.monotonic() - began < 4
    assert "it took longer than 0.2 s; run again to resume, or give a longer --deadline" in line


def test_a_server_that_says_nothing_is_left_at_the_timeout(server, tmp_path):
    gone = threading.Event()

    def silent(handler):
        handler.wfile.write(HEAD + b"\r\n" + CONTENT[:1000])
        gone.wait(5)

    server.answer = silent
    line = refused(server, tmp_path, timeout=0.1)
    gone.set()
    assert "failed after 1000 bytes: no byte for 0.1 s" in line
    assert "--timeout" in line
    assert part(tmp_path).read_bytes() == CONTENT[:1000]


def test_a_finished_download_does_not_wait_for_the_connection_to_close(server, tmp_path):
    gone = threading.Event()

    def lingering(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT)
        gone.wait(5)

    server.answer = lingering
    began = time.monotonic()
    assert "missing" in refused(server, tmp_path, digests={"other": "0"})
    assert time.monotonic() - began < 4
    gone.set()


@pytest.mark.parametrize("name", ["timeout", "deadline"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_a_time_to_wait_is_positive_and_a_week_at_most(name, value):
    with pytest.raises(InputError, match=f"{name} must be seconds above 0"):
        Patience(**{name: value})


def test_no_thread_is_left(server, tmp_path):
    before = threading.active_count()
    server.answer = lambda handler: drip(handler, b"")
    refused(server, tmp_path, deadline=0.1)
    # Those of the server end when nobody listens to them any more.
    until = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before
