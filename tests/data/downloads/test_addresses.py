"""Downloads go to https addresses, wherever a server sends on to."""

import pytest
from command_line import invoke
from command_line import refused as refused_command
from served import CONTENT, get, refused

from checkpoints.data.downloads.address import read_address, read_redirect
from checkpoints.data.downloads.connection import open_address
from checkpoints.data.downloads.deadline import Deadline
from spectra.errors import InputError

MALFORMED = (
    "http://[::1", "https://[::1", "https://h:99999/a", "https://h:x/a", "https://", "https:///a",
    "https://user:word@h/a", "https://@h/a", "https://.h/a", "https://" + "h" * 70 + "/a",
    "https://h/a b", "https://h/é", "https://h/\x1b[31m", "https://h/\r\nHost: other", "", "//h/a",
    "http://example.org/a.tar.gz", "ftp://127.0.0.1/a", "file:///etc/hosts", "a.tar.gz",
    "data:,x", "http://127.0.0.1.example.org/a", "http://localhost@example.org/",
)  # fmt: skip


@pytest.mark.parametrize("url", MALFORMED)
def test_another_address_than_an_https_one_is_refused_in_one_line(url):
    with pytest.raises(InputError) as error:
        read_address(url)
    assert str(error.value).isprintable() or "é" in str(error.value)


@pytest.mark.parametrize(
    "url", ["https://h/a", "https://h:8443/a?b=c#d", "http://[::1]:80/a", "http://localhost/a"]
)
def test_https_addresses_and_those_of_this_machine_are_read(url):
    assert read_address(url).hostname


@pytest.mark.parametrize(
    "place",
    ["http://example.org/a", "http://127.0.0.1/a", "file:///etc/passwd", "ftp://h/a", "//[::1",
     "https://user@h/"],
)  # fmt: skip
def test_a_redirect_from_https_leads_to_https_alone(place):
    with pytest.raises(InputError, match="https://h/a sends on to"):
        read_redirect("https://h/a", place)


@pytest.mark.parametrize("place", ["/b", "b", "//other/b", "https://other/b c", "?x=1"])
def test_a_redirect_may_lead_to_another_place(place):
    read_redirect("https://h/a", place)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["http://example.org/a", "file:///etc/passwd", "http://[::1"])
def test_a_server_that_sends_elsewhere_is_not_followed(server, tmp_path, status, place):
    server.status, server.location = status, place
    assert f"{server.url} sends on to another address" in refused(server, tmp_path)


def test_a_server_that_sends_round_in_a_circle_is_left(server, tmp_path):
    server.status, server.location = 302, "/again"
    assert "answered 302" in refused(server, tmp_path)
    assert len(server.requests) < 15


def test_a_redirect_is_followed_without_its_page(server, tmp_path):
    def answer(handler):
        if handler.path != "/there":
            handler.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n" + b"?" * 10**6)
            return
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT)

    server.answer = answer
    assert get(server, tmp_path).is_dir()


@pytest.mark.parametrize("proxy", ["http://", "nonsense://", "http://127.0.0.1:x", "http://[::1"])
def test_a_proxy_that_is_none_is_told_in_one_line(server, tmp_path, monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy)
    line = refused(server, tmp_path, url="https://127.0.0.1/a", timeout=2.0)
    assert "failed after 0 bytes" in line


def test_a_proxy_is_used_but_for_this_machine(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    deadline = Deadline()
    with deadline.after(5.0), open_address(server.url, 0, 5.0, deadline) as response:
        assert response.status == 200
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.server_port}")
    with deadline.after(5.0), pytest.raises(OSError, match="Tunnel connection failed"):
        open_address("https://example.org/a", 0, 5.0, deadline)


def test_every_option_that_a_message_names_is_there():
    shown = invoke("data", "fetch", "--help").output
    for option in ("-o", "--url", "--timeout", "--deadline"):
        assert option in shown


def test_the_command_line_refuses_in_one_line(tmp_path):
    for options in (
        ["--url", "http://[::1"],
        ["--url", ""],
        ["--timeout", "nan"],
        ["--deadline", "0"],
    ):
        line = refused_command("data", "fetch", "cifar10", "-o", tmp_path / "new", *options)
        assert line.startswith("Error: ")
    assert not (tmp_path / "new").exists() or not list((tmp_path / "new").iterdir())
