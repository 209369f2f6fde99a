"""A file that is downloaded is the right one, or nothing of it is kept."""

import hashlib
import os

import pytest
from served import CONTENT, FILES, cut_short, get, part, refused

from checkpoints.data.downloads.download import download


def test_a_cut_connection_says_how_to_go_on(server, tmp_path):
    server.cut = 100_000
    line = refused(server, tmp_path)
    assert "failed after 100000 bytes" in line
    assert line.endswith("run again to resume")


@pytest.mark.parametrize("lengths", [True, False], ids=["with a length", "without a length"])
def test_a_cut_connection_keeps_what_came_and_the_next_run_brings_the_rest(
    server, tmp_path, lengths
):
    server.lengths = lengths
    cut_short(server, tmp_path, 100_000)
    assert part(tmp_path).read_bytes() == CONTENT[:100_000]
    assert (get(server, tmp_path) / "train").read_bytes() == FILES["train"]
    assert server.requests == [None, "bytes=100000-"]


def test_a_server_that_ignores_range_is_read_from_the_start(server, tmp_path):
    server.ranges = False
    cut_short(server, tmp_path, 100_000)
    assert (get(server, tmp_path) / "train").read_bytes() == FILES["train"]


def test_a_complete_part_needs_no_server(server, tmp_path):
    part(tmp_path).write_bytes(CONTENT)
    get(server, tmp_path)
    assert not server.requests


def test_a_part_that_is_too_long_is_started_again(server, tmp_path):
    part(tmp_path).write_bytes(CONTENT + b"more")
    get(server, tmp_path)
    assert server.requests == [None]


@pytest.mark.parametrize("said", ["bytes 0-9/10", "bytes 999-2000/*", "items 1-2/3", "bytes */5"])
def test_another_range_than_asked_for_is_not_appended(server, tmp_path, said):
    part(tmp_path).write_bytes(CONTENT[:1000])
    server.content_range = said
    assert (get(server, tmp_path) / "train").read_bytes() == FILES["train"]
    assert server.requests == ["bytes=1000-", None]


def test_a_range_of_another_file_keeps_what_came_before(server, tmp_path):
    part(tmp_path).write_bytes(CONTENT[:1000])
    server.content_range = f"bytes 1000-{len(CONTENT)}/{len(CONTENT) + 1}"
    assert f"has {len(CONTENT) + 1} bytes, expected {len(CONTENT)}" in refused(server, tmp_path)
    assert part(tmp_path).read_bytes() == CONTENT[:1000]


def test_a_server_without_the_rest_is_told_in_one_line(server, tmp_path):
    part(tmp_path).write_bytes(CONTENT[:1000])
    server.content = CONTENT[:500]
    line = refused(server, tmp_path)
    assert "answered 416" in line
    assert f"delete {part(tmp_path)}" in line


def test_a_partial_answer_that_nobody_asked_for_is_refused(server, tmp_path):
    server.status = 206
    assert "answered 206" in refused(server, tmp_path)


@pytest.mark.parametrize("before", [0, 1000], ids=["from the start", "resumed"])
def test_other_content_is_deleted_and_its_digest_told(server, tmp_path, before):
    part(tmp_path).write_bytes(b"?" * before)
    server.content = CONTENT[:-1] + b"?"
    line = refused(server, tmp_path)
    assert f"expected SHA-256 {hashlib.sha256(CONTENT).hexdigest()}, got" in line
    assert not list(tmp_path.iterdir())


def test_content_of_another_length_is_refused_before_any_of_it_is_read(server, tmp_path):
    server.content = b"<html>log in first</html>"
    assert "has 25 bytes" in refused(server, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_server_that_sends_more_than_the_file_has_is_cut_off(server, tmp_path):
    server.lengths, server.content = False, CONTENT + b"?" * 100_000
    assert f"sends more than {len(CONTENT)} bytes" in refused(server, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br"])
def test_bytes_are_kept_as_they_come_whatever_they_are_said_to_be_packed_by(
    server, tmp_path, coding
):
    server.headers = {"Content-Encoding": coding}
    assert (get(server, tmp_path) / "train").read_bytes() == FILES["train"]


@pytest.mark.parametrize("status", [404, 500, 403])
def test_an_answer_of_the_server_is_passed_on_and_its_page_not_kept(server, tmp_path, status):
    server.status = status
    line = refused(server, tmp_path)
    assert f"answered {status}" in line
    assert "check the address" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "said",
    [b"", b"220 ftp ready\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"],
    ids=["nothing", "another protocol", "too many headers", "broken chunks"],
)  # fmt: skip
def test_what_is_no_answer_is_told_in_one_line(server, tmp_path, said):
    def answer(handler):
        handler.wfile.write(said)
        handler.close_connection = True

    server.answer = answer
    assert "failed after 0 bytes" in refused(server, tmp_path)


def test_a_server_that_is_gone_is_told_by_its_address(server, tmp_path):
    server.server_close()
    assert f"download of {server.url} failed after 0 bytes" in refused(server, tmp_path)


def linked(path, victim):
    path.symlink_to(victim)


def of_two_names(path, victim):
    os.link(victim, path)


@pytest.mark.parametrize("make", [linked, of_two_names])
def test_a_part_that_is_somebody_elses_file_is_not_written_to(server, tmp_path, make):
    victim = tmp_path / "mine.txt"
    victim.write_bytes(b"mine")
    make(part(tmp_path), victim)
    assert str(part(tmp_path)) in refused(server, tmp_path)
    assert victim.read_bytes() == b"mine"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["FIFO", "folder"])
def test_a_part_that_is_no_file_is_refused_without_waiting(server, tmp_path, make):
    make(part(tmp_path))
    assert str(part(tmp_path)) in refused(server, tmp_path)


def test_the_file_itself_replaces_a_link_and_leaves_what_it_leads_to(server, tmp_path):
    victim = tmp_path / "mine.txt"
    victim.write_bytes(b"mine")
    (tmp_path / "got").symlink_to(victim)
    download(server.file(), tmp_path / "got")
    assert ((tmp_path / "got").read_bytes(), victim.read_bytes()) == (CONTENT, b"mine")


def test_ctrl_c_keeps_what_came(server, tmp_path):
    def interrupt(done):
        if done > 50_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.file(), tmp_path / part(tmp_path).stem, on_bytes=interrupt)
    kept = part(tmp_path).read_bytes()
    assert len(kept) > 50_000
    assert kept == CONTENT[: len(kept)]
    get(server, tmp_path)
    assert server.requests == [None, f"bytes={len(kept)}-"]
