import hashlib
import subprocess
import sys

import pytest
from served import CONTENT, FILES, archive, cut_short, get, part, refused

from checkpoints.data import cifar
from checkpoints.data.downloads.address import read_address
from checkpoints.data.fetch import ARCHIVES

try:
    import resource
except ImportError:  # Windows
    resource = None


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


def test_progress_ends_at_the_total(server, tmp_path):
    calls = []
    get(server, tmp_path, on_progress=lambda _, done, total: calls.append((done, total)))
    assert calls[-1] == (len(CONTENT), len(CONTENT))


def test_progress_of_a_resumed_download_starts_where_it_stopped(server, tmp_path):
    cut_short(server, tmp_path, 100_000)
    calls = []
    get(server, tmp_path, on_progress=lambda _, done, total: calls.append((done, total)))
    assert calls[0] == (100_000, len(CONTENT))


def served_as_official(server, content):
    server.content = content
    return {"length": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("folder", ["..", "other"], ids=["escaping", "elsewhere"])
def test_an_archive_with_other_paths_unpacks_nothing(server, tmp_path, folder):
    known = served_as_official(server, archive(FILES, folder=folder))
    line = refused(server, tmp_path / "in", **known)
    assert "cannot unpack" in line or "missing or wrong" in line
    assert not list(tmp_path.glob("**/t*"))


def test_a_file_that_is_no_archive_is_refused(server, tmp_path):
    known = served_as_official(server, b"<html>moved</html>")
    assert "cannot unpack" in refused(server, tmp_path, **known)


def test_a_folder_that_cannot_be_made_is_told_in_one_line(server, tmp_path):
    (tmp_path / "file").write_text("")
    assert "choose another -o" in refused(server, tmp_path / "file")


def test_an_unpacked_folder_that_is_a_link_is_not_written_through(server, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cifar-100-python").symlink_to(elsewhere)
    assert "is a link" in refused(server, tmp_path / "in")
    assert not list(elsewhere.iterdir())


def test_a_folder_that_another_process_downloads_to_is_left_to_it(server, tmp_path):
    code = f"""if True:
        import sys
        from pathlib import Path
        from spectra.system.files.lock import locked
        with locked(Path({str(tmp_path)!r})):
            print("held", flush=True)
            sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        line = refused(server, tmp_path)
    assert f"is in use by process {other.pid} on" in line
    assert not server.requests


def test_what_another_process_has_brought_meanwhile_is_not_unpacked_again(server, tmp_path):
    get(server, tmp_path)
    place = tmp_path / "cifar-100-python"
    before = place.stat().st_mtime_ns
    assert get(server, tmp_path) == place
    assert place.stat().st_mtime_ns == before


@pytest.mark.skipif(resource is None, reason="Windows limits no files")
def test_a_disk_that_is_full_is_told_by_the_file_and_keeps_what_came(server, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        line = refused(server, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f"File too large at {part(tmp_path)}; what came is kept, run again to go on" in line
    assert part(tmp_path).read_bytes() == CONTENT[:100_000]


def test_the_official_archives_have_an_https_address_and_a_whole_digest():
    for name, official in ARCHIVES.items():
        assert read_address(official.url).scheme == "https"
        assert official.url.endswith(".tar.gz")
        assert name in cifar.FOLDERS
        assert (len(official.sha256), official.length > 160_000_000) == (64, True)
