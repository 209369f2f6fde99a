"""What may be written where."""

import os
import stat
from pathlib import Path

import pytest

from spectra.errors import InputError
from spectra.system.files.places import refuse_elsewhere, writing_under
from spectra.system.files.writing import write_atomically


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "elsewhere" / "victim.txt"
    path.parent.mkdir()
    path.write_text("precious")
    yield path
    assert path.read_text() == "precious"
    assert list(path.parent.iterdir()) == [path]


def refused(path, message):
    with pytest.raises(InputError, match=message):
        write_atomically(path, b"x")


def test_a_path_that_leaves_the_folder_is_refused(tmp_path, victim):
    root = tmp_path / "out"
    with writing_under(root):
        refused(root / ".." / "elsewhere" / "victim.txt", "lies outside of")
        refused(root / "a" / ".." / ".." / "x", "lies outside of")
        refused(victim, "lies outside of")
        refused(victim.parent / "new.txt", "lies outside of")
    assert not root.exists()


def test_a_file_that_is_there_may_be_named_from_the_root_of_the_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with writing_under(Path("out")):
        write_atomically(tmp_path / "out" / "a.json", b"first")
        write_atomically(tmp_path / "out" / "a.json", b"second")
    assert (tmp_path / "out" / "a.json").read_bytes() == b"second"


def test_a_file_that_is_a_link_is_not_written(tmp_path, victim):
    (tmp_path / "result.json").symlink_to(victim)
    refused(tmp_path / "result.json", "result.json is a link, and nothing is written through")
    assert (tmp_path / "result.json").is_symlink()


def test_a_link_to_nowhere_is_not_written(tmp_path, victim):
    (tmp_path / "result.json").symlink_to(victim.parent / "new")
    refused(tmp_path / "result.json", "is a link")


def test_a_folder_below_the_root_that_is_a_link_is_not_written(tmp_path, victim):
    root = tmp_path / "out"
    root.mkdir()
    (root / "units").symlink_to(victim.parent)
    with writing_under(root):
        refused(root / "units" / "deep" / "8.json", "units is a link")
        with writing_under(root / "units"):  # a part of the work does not choose another root
            refused(root / "units" / "8.json", "units is a link")


def test_the_root_may_be_a_link(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "big")
    with writing_under(tmp_path / "out"):
        write_atomically(tmp_path / "out" / "a" / "b.json", b"x")
    assert (tmp_path / "big" / "a" / "b.json").read_bytes() == b"x"


def test_relative_and_absolute_paths_are_one_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with writing_under(tmp_path):
        refuse_elsewhere(Path("a/b.json"))
    with writing_under(Path("a")):
        refuse_elsewhere(tmp_path / "a" / "b.json")
        with pytest.raises(InputError, match="lies outside"):
            refuse_elsewhere(tmp_path / "b.json")


def test_the_root_ends_with_the_block(tmp_path):
    with writing_under(tmp_path / "one"):
        pass
    write_atomically(tmp_path / "two", b"x")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_what_is_no_regular_file_is_not_replaced(tmp_path, make):
    make(tmp_path / "out")
    before = os.lstat(tmp_path / "out")
    refused(tmp_path / "out", "out is .*, and a file is to be written there")
    assert os.lstat(tmp_path / "out") == before


def test_a_file_where_a_folder_is_to_be_is_named(tmp_path):
    (tmp_path / "warm").touch()
    with writing_under(tmp_path), pytest.raises(InputError, match=r"/warm is no folder, .* remove"):
        write_atomically(tmp_path / "warm" / "a.npy", b"x")


def test_devices_are_not_replaced():
    with pytest.raises(InputError, match="/dev/null is no regular file"):
        refuse_elsewhere(Path("/dev/null"))


def test_rights_are_what_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == 0o640


def test_a_name_of_the_longest_kind_is_written(tmp_path):
    write_atomically(tmp_path / ("é" * 127), b"x")
    assert len(list(tmp_path.iterdir())) == 1
