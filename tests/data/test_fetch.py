import hashlib
import io
import re
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from checkpoints.data import fetch as fetch_module
from checkpoints.data.fetch import ARCHIVES, fetch
from spectra.errors import InputError

FILES = {"train": b"t" * 5000 + bytes(range(256)) * 800, "test": b"s" * 3000}


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


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
DIGESTS = {name: md5(content) for name, content in FILES.items()}


class Server(ThreadingHTTPServer):
    """Serves ``content``; ``cut`` closes after that many bytes, ``ranges`` honours Range."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut, self.ranges, self.status = CONTENT, None, True, None
        self.location = self.content_range = None
        self.requests = []
        self.url = f"http://127.0.0.1:{self.server_port}/cifar-100-python.tar.gz"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(self.headers.get("Range"))
        if server.status:
            self.send_response(server.status)
            if server.location:
                self.send_header("Location", server.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and server.ranges else 0
        total = len(server.content)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked and server.ranges else 200)
        if asked and server.ranges:
            said = server.content_range or f"bytes {start}-{total - 1}/{total}"
            self.send_header("Content-Range", said)
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        self.wfile.write(server.content[start:][: server.cut])


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server, folder, **options):
    defaults = {"url": server.url, "md5": md5(CONTENT), "digests": DIGESTS, "timeout": 5.0}
    return fetch("cifar100", folder, **{**defaults, **options})


def cut_short(server, folder, after: int) -> None:
    server.cut = after
    with pytest.raises(InputError):
        get(server, folder)
    server.cut = None


def part(folder):
    return folder / "cifar-100-python.tar.gz.part"


def test_the_files_of_the_archive_are_unpacked(server, tmp_path):
    place = get(server, tmp_path / "new")
    assert {path.name: path.read_bytes() for path in place.iterdir()} == FILES


def test_nothing_but_the_archive_and_its_folder_is_left(server, tmp_path):
    get(server, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"cifar-100-python", "cifar-100-python.tar.gz"}


def test_what_is_already_there_is_not_downloaded_again(server, tmp_path):
    get(server, tmp_path)
    get(server, tmp_path)
    assert len(server.requests) == 1


def test_a_damaged_file_is_replaced_from_the_kept_archive(server, tmp_path):
    place = get(server, tmp_path)
    (place / "test").write_bytes(b"damaged")
    get(server, tmp_path)
    assert ((place / "test").read_bytes(), len(server.requests)) == (FILES["test"], 1)


def test_replacing_a_damaged_file_leaves_the_users_own_alone(server, tmp_path):
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python" / "notes.txt").write_text("mine")
    assert (get(server, tmp_path) / "notes.txt").read_text() == "mine"


def test_a_cut_connection_says_how_to_go_on(server, tmp_path):
    server.cut = 100_000
    with pytest.raises(InputError, match=r"failed after 100000 bytes.*run again to resume"):
        get(server, tmp_path)


def test_a_cut_connection_keeps_what_came(server, tmp_path):
    cut_short(server, tmp_path, 100_000)
    assert part(tmp_path).read_bytes() == CONTENT[:100_000]


def test_a_second_run_asks_for_the_missing_bytes_only(server, tmp_path):
    cut_short(server, tmp_path, 100_000)
    get(server, tmp_path)
    assert server.requests == [None, "bytes=100000-"]


def test_a_resumed_download_is_whole(server, tmp_path):
    cut_short(server, tmp_path, 100_000)
    assert (get(server, tmp_path) / "train").read_bytes() == FILES["train"]


def test_a_server_that_ignores_range_is_read_from_the_start(server, tmp_path):
    server.ranges = False
    cut_short(server, tmp_path, 100_000)
    assert (get(server, tmp_path) / "train").read_bytes() == FILES["train"]


def test_a_complete_part_file_needs_no_more_bytes(server, tmp_path):
    part(tmp_path).write_bytes(CONTENT)
    get(server, tmp_path)
    assert server.requests == [f"bytes={len(CONTENT)}-"]


def test_a_part_file_that_is_too_long_is_started_again(server, tmp_path):
    part(tmp_path).write_bytes(CONTENT + b"more")
    get(server, tmp_path)
    assert server.requests == [f"bytes={len(CONTENT) + 4}-", None]


def test_another_range_than_asked_for_is_not_appended(server, tmp_path):
    part(tmp_path).write_bytes(CONTENT[:1000])
    server.content_range = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"
    with pytest.raises(InputError, match="another range"):
        get(server, tmp_path)


def test_a_wrong_checksum_is_told_in_one_line(server, tmp_path):
    with pytest.raises(InputError, match="expected MD5 0000, got") as error:
        get(server, tmp_path, md5="0000")
    assert "\n" not in str(error.value)


def test_a_download_with_a_wrong_checksum_is_deleted(server, tmp_path):
    with pytest.raises(InputError):
        get(server, tmp_path, md5="0000")
    assert not list(tmp_path.iterdir())


def test_progress_ends_at_the_total(server, tmp_path):
    calls = []
    get(server, tmp_path, on_progress=lambda _, done, total: calls.append((done, total)))
    assert calls[-1] == (len(CONTENT), len(CONTENT))


def test_progress_of_a_resumed_download_starts_where_it_stopped(server, tmp_path):
    cut_short(server, tmp_path, 100_000)
    calls = []
    get(server, tmp_path, on_progress=lambda _, done, total: calls.append((done, total)))
    assert calls[0] == (100_000, len(CONTENT))


def test_a_server_that_sends_too_much_is_cut_off_and_nothing_of_it_is_kept(
    server, tmp_path, monkeypatch
):
    monkeypatch.setattr(fetch_module, "LIMIT", 100_000)
    with pytest.raises(InputError, match="sends more than"):
        get(server, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_answer_of_the_server_is_passed_on(server, tmp_path):
    server.status = 404
    with pytest.raises(InputError, match=r"answered 404 Not Found; check the address"):
        get(server, tmp_path)


def test_an_unreachable_server_is_an_input_error_with_its_address(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match=rf"download of {server.url} failed after 0 bytes"):
        get(server, tmp_path)


@pytest.mark.parametrize(
    "url", ["http://example.org/a.tar.gz", "ftp://127.0.0.1/a", "file:///etc/hosts", "a.tar.gz"]
)
def test_other_addresses_than_https_are_refused(tmp_path, url):
    with pytest.raises(InputError, match="over https only"):
        fetch("cifar10", tmp_path, url=url)


def test_a_redirect_away_from_https_is_refused(server, tmp_path):
    server.status, server.location = 302, "http://example.org/a.tar.gz"
    with pytest.raises(InputError, match=r"over https only, got http://example.org"):
        get(server, tmp_path)


@pytest.mark.parametrize("folder", ["..", "other"], ids=["escaping", "elsewhere"])
def test_an_archive_with_other_paths_unpacks_nothing(server, tmp_path, folder):
    server.content = archive(FILES, folder=folder)
    with pytest.raises(InputError, match=r"cannot unpack|missing or wrong"):
        get(server, tmp_path / "in", md5=md5(server.content))
    assert not list(tmp_path.glob("**/t*"))


def test_a_file_that_is_no_archive_is_refused(server, tmp_path):
    server.content = b"<html>moved</html>"
    with pytest.raises(InputError, match="cannot unpack"):
        get(server, tmp_path, md5=md5(server.content))


def test_a_folder_that_cannot_be_made_is_an_input_error(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot keep cifar100 in"):
        get(server, tmp_path / "file")


def test_the_official_archives_are_fetched_over_https():
    for official in ARCHIVES.values():
        fetch_module._check_url(official.url)
