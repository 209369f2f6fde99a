import os
import socket

import pytest

from spectra.errors import InputError
from spectra.system.files.limits import raised_limits
from spectra.system.files.reading import opened, read_bytes


def refused(path, complaint):
    with pytest.raises(InputError, match=complaint):
        read_bytes(path, "toml_file")


def test_a_file_is_read_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"\x00\r\n\x1a content")
    assert read_bytes(tmp_path / "a", "toml_file") == b"\x00\r\n\x1a content"


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").symlink_to("a")
    assert read_bytes(tmp_path / "b", "toml_file") == b"content"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a")
    refused(tmp_path / "a", "a: expected a file, got a pipe")


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("a")
        refused(tmp_path / "a", "a: expected a file, got a socket")


def test_a_device_is_refused():
    refused("/dev/zero", "/dev/zero: expected a file, got a device")


def test_a_folder_is_refused(tmp_path):
    refused(tmp_path, "expected a file, got a folder")


def test_an_absent_file_is_refused(tmp_path):
    refused(tmp_path / "a", "cannot read .*a: No such file")


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    refused(tmp_path / "a\0b", "null byte")
    refused(tmp_path / ("a" * 300), "name too long")


def test_a_link_in_a_circle_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("a")
    refused(tmp_path / "a", "cannot read")


def test_a_sparse_file_is_refused_by_its_size_unread(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(2**40)
    refused(tmp_path / "a", "a: 1,024 GiB is more than the limit of a TOML file, 1 MiB")


def test_a_raised_limit_lets_a_larger_file_in(tmp_path):
    (tmp_path / "a").write_bytes(bytes(2**20 + 1))
    refused(tmp_path / "a", "--limit toml_file=")
    with raised_limits(toml_file=2**21):
        assert len(read_bytes(tmp_path / "a", "toml_file")) == 2**20 + 1


def test_an_error_of_the_reader_is_not_taken_for_one_of_the_file(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    with pytest.raises(ValueError, match="of the reader"), opened(tmp_path / "a", "toml_file"):
        raise ValueError("of the reader")


def test_a_file_that_is_hardly_stored_is_refused_unread(tmp_path):
    path = tmp_path / "net.safetensors"
    with path.open("wb") as file:
        file.write(bytes(range(1, 100)))
        file.truncate(2**27)
    with pytest.raises(InputError, match=r"of its 134,217,728 bytes [\d,]+ are stored"):
        read_bytes(path, "checkpoint_file")
