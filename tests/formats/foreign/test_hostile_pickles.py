"""Files of a few bytes that ask for hours or for terabytes are refused in one line, at once."""

import resource
import signal
import struct
import zipfile
from pathlib import Path

import hostile_pickles as hostile
import pytest
import torch

from checkpoints.formats.foreign import load_foreign
from checkpoints.formats.pickles.stand_ins import as_key
from checkpoints.formats.torch_files import read_torch
from spectra.errors import InputError
from spectra.system.files.limits import raised_limits

GIB = 2**30
SECONDS = 10


class TooSlowError(Exception):
    pass


@pytest.fixture(autouse=True)
def _bounded():
    """Two GiB of address space more than there is, and ten seconds."""

    def ring(*_):
        raise TooSlowError

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 2 * GIB
    handler = signal.signal(signal.SIGALRM, ring)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, before)
    signal.signal(signal.SIGALRM, handler)


def refused(path, complaint=None) -> None:
    with pytest.raises(InputError, match=complaint) as error:
        load_foreign(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("write", [hostile.write_archive, hostile.write_older])
@pytest.mark.parametrize("pickle", hostile.BOMBS.values(), ids=hostile.BOMBS)
def test_a_pickle_that_asks_for_more_than_it_is_is_refused(tmp_path, pickle, write):
    refused(write(tmp_path / "net.pth", pickle))


@pytest.mark.parametrize("write", [hostile.write_archive, hostile.write_older])
@pytest.mark.parametrize("tensor", hostile.TENSORS.values(), ids=hostile.TENSORS)
def test_a_tensor_that_is_more_than_its_storage_is_refused(tmp_path, tensor, write):
    refused(write(tmp_path / "net.pth", hostile.state(("linear.weight", tensor))))


@pytest.mark.parametrize("write", [hostile.write_archive, hostile.write_older])
def test_the_same_file_with_an_honest_tensor_is_read(tmp_path, write):
    path = write(tmp_path / "net.pth", hostile.state(("linear.weight", hostile.tensor())))
    assert torch.equal(read_torch(path)["linear.weight"], torch.zeros(2, 2))


def test_what_is_meant_is_read_with_a_raised_limit(tmp_path):
    path = hostile.write_archive(tmp_path / "net.pth", b")" + b"\x85" * 150)
    refused(path, "150|101 is more than the limit of lists .* --limit depth=")
    with raised_limits(depth=200):
        assert isinstance(read_torch(path), tuple)


def test_ctrl_c_ends_the_reading_of_a_pickle(tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    path = hostile.write_archive(tmp_path / "net.pth", b"](" + b"K\x01" * 900_000 + b"e")
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    with pytest.raises(KeyboardInterrupt):
        read_torch(path)


def changed(path: Path, change) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


def compressed(path: Path, pickle: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", hostile.START + pickle + b".")
        archive.writestr("net/data/0", bytes(2**22))
    return path


def in_directory(content: bytes, name: bytes, at: int, change: bytes) -> bytes:
    """Change a field of a part's entry in the directory of an archive."""
    place = content.rindex(name) - 46 + at
    return content[:place] + change + content[place + len(change) :]


HONEST = hostile.state(("linear.weight", hostile.tensor()))
DATA = b"net/data/0"


def field(at: int, value: bytes):
    return lambda content: in_directory(content, DATA, at, value)


ARCHIVES = {
    "a part of four GiB": (field(20, struct.pack("<II", 2**32 - 2, 2**32 - 2)), "lies in another"),
    "a part that grows": (field(24, struct.pack("<I", 2**31)), "part net/data/0 has two sizes"),
    "a part in another": (field(42, struct.pack("<I", 0)), "lies in another"),
    "an encrypted part": (field(8, b"\x01"), "part net/data/0 is encrypted"),
    "another name": (field(46, b"net/data/1"), "lacks storage 0"),
    "one name twice": (field(46, b"net/version"[:10]), "no readable checkpoint"),
    "a flipped bit": (lambda c: c.replace(bytes(16), bytes(15) + b"\x01", 1), "its checksum"),
    "a directory of two GiB": (
        lambda c: c[:-10] + b"\x00\x00\x00\x80" + c[-6:],
        "list of its parts",
    ),
    "a directory elsewhere": (lambda c: c[:-6] + b"\xff\xff\xff\x7f" + c[-2:], "lies outside"),
    "something behind": (lambda c: c + b"\x00", "does not end as a zip archive does"),
    "a file cut short": (lambda c: c[:-30], "does not end as a zip archive does"),
}


@pytest.mark.parametrize("comment", [b"trained by hand", b"x" * (2**16 - 1)], ids=len)
def test_an_archive_with_a_comment_is_read(tmp_path, comment):
    path = hostile.write_archive(tmp_path / "net.pth", HONEST)
    changed(path, lambda c: c[:-2] + struct.pack("<H", len(comment)) + comment)
    assert torch.equal(read_torch(path)["linear.weight"], torch.zeros(2, 2))


@pytest.mark.parametrize("change", [
    lambda c: c[:-2] + b"\x09\x00comment",
    lambda c: c[:-2] + b"\x07\x00commentary",
    lambda c: c[:-2] + struct.pack("<H", 26) + b"PK\x05\x06" + bytes(22),
], ids=["a comment cut short", "more than the comment", "an archive as comment"])  # fmt: skip
def test_a_comment_that_hides_something_is_refused(tmp_path, change):
    refused(changed(hostile.write_archive(tmp_path / "net.pth", HONEST), change))


@pytest.mark.parametrize("write", [hostile.write_archive, hostile.write_older])
def test_a_dictionary_that_holds_itself_is_not_said_to_be_cut_short(tmp_path, write):
    path = write(tmp_path / "net.pth", b"}q\x00X\x01\x00\x00\x00wh\x00s")
    refused(path, "an object holds itself")
    refused(path, r"^(?!.*cut short)")


@pytest.mark.parametrize(("change", "complaint"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_that_lies_is_refused(tmp_path, change, complaint):
    refused(changed(hostile.write_archive(tmp_path / "net.pth", HONEST), change), complaint)


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused(tmp_path):
    path = compressed(tmp_path / "net.pth", HONEST)
    assert path.stat().st_size < 2**13
    with raised_limits(compressed_weights=2**21):
        refused(path, "its parts, unpacked: .* --limit compressed_weights=")
    assert read_torch(path)["linear.weight"].shape == (2, 2)


def test_an_archive_packed_in_another_way_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pth", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("net/data.pkl", hostile.START + HONEST + b".")
    refused(tmp_path / "net.pth", "compressed in a way that is not read")


def test_an_archive_of_two_pickles_is_refused(tmp_path):
    path = hostile.write_archive(tmp_path / "net.pth", HONEST, {"more/data.pkl": b"\x80\x02N."})
    refused(path, "has 2 parts data.pkl")


def test_a_storage_that_is_cut_short_is_refused(tmp_path):
    path = hostile.write_older(tmp_path / "net.pth", HONEST)
    refused(changed(path, lambda content: content[:-1]), "it ends too early")


def test_a_storage_of_another_size_is_refused(tmp_path):
    path = hostile.write_older(tmp_path / "net.pth", HONEST)
    longer = struct.pack("<q", 2**40) + bytes(16)
    refused(changed(path, lambda content: content[:-24] + longer), "another size than stated")


def test_a_tar_archive_is_refused_with_what_it_may_be(tmp_path):
    (tmp_path / "net.pth").write_bytes(b"sys_info" + bytes(249) + b"ustar" + bytes(250))
    refused(tmp_path / "net.pth", "a tar archive as torch wrote it before")


@pytest.mark.parametrize("size", [2**40, 2**33])
def test_a_sparse_file_is_refused(tmp_path, size):
    with (tmp_path / "net.pth").open("wb") as file:
        file.truncate(size)
    refused(tmp_path / "net.pth")


def test_long_texts_in_tuples_that_are_keys_are_cut_short():
    emoji = "\U0001f600" * 1000
    assert len(as_key((*[emoji] * 15, 7))) < 1100
