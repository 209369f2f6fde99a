"""Arrays of strangers: what the header states is held against the file before it is made."""

import io
import os
import zipfile

import numpy as np
import pytest

from spectra.errors import InputError
from spectra.system.files.arrays import npy_array, npz_arrays, npz_names
from spectra.system.files.limits import raised_limits

ARRAYS = {
    "float64": np.arange(6.0).reshape(2, 3),
    "columns first": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">i4"),
    "half": np.arange(3, dtype=np.float16),
    "bytes": np.arange(5, dtype=np.uint8),
    "truth values": np.array([True, False]),
    "one number": np.array(3.5),
    "nothing": np.zeros((0, 2)),
    "text": np.array(["a", "bc"]),
    "complex": np.array([1j]),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_an_array_is_read_as_numpy_reads_it(tmp_path, array, version):
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, array, version=version)
    found, numpys = npy_array(tmp_path / "a.npy", "data_file"), np.load(tmp_path / "a.npy")
    np.testing.assert_array_equal(found, numpys)
    assert (found.dtype, found.shape) == (numpys.dtype, numpys.shape)
    assert found.flags.f_contiguous == numpys.flags.f_contiguous


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_out_of_an_archive_by_their_names(tmp_path, save):
    save(tmp_path / "a.npz", b=np.arange(3), a=np.ones(2))
    assert npz_names(tmp_path / "a.npz", "data_file") == ("b", "a")
    a, b = npz_arrays(tmp_path / "a.npz", ["a", "b"], "data_file")
    np.testing.assert_array_equal(a, np.ones(2))
    np.testing.assert_array_equal(b, np.arange(3))


def npy(header: str, content: bytes = bytes(16), version: int = 1) -> bytes:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + content


def of_shape(shape: str, kind: str = "<f4", order: str = "False") -> str:
    return f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}\n"


HEADERS = {
    "a terabyte": npy(of_shape("(1099511627776,)")),
    "ten gigabytes": npy(of_shape("(2500000000,)")),
    "2^80 numbers": npy(of_shape(f"({2**40}, {2**40})")),
    "a length of 10^400": npy(of_shape(f"({10**400},)")),
    "a negative length": npy(of_shape("(-4,)")),
    "two negative lengths": npy(of_shape("(-2, -2)")),
    "more than the header says": npy(of_shape("(3,)")),
    "no brackets": npy(of_shape("4")),
    "brackets in brackets": npy("(" * 4000),
    "a long header of brackets": npy("(" * 60_000),
    "minus of minus": npy(of_shape("(4,)").replace("4", "-" * 3000 + "4")),
    "a header of four GiB": npy("", version=2)[:8] + b"\xff\xff\xff\xff" + bytes(16),
    "a header longer than the file": npy(of_shape("(4,)"))[:8] + b"\x00\x0f" + bytes(16),
    "code": npy("__import__('os').abort()"),
    "objects": npy(of_shape("(2,)", "|O")),
    "records": npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }"),
    "text of no characters": npy(of_shape("(4,)", "<U0"), b""),
    "a date": npy(of_shape("(2,)", "<M8")),
    "no such type": npy(of_shape("(4,)", "<f3")),
    "a hundred axes": npy(of_shape("(" + "1, " * 99 + "4)")),
    "version 9": npy(of_shape("(4,)"), version=9),
    "no version": b"\x93NUMPY",
    "nothing": b"",
    "a pickle": b"\x80\x04N.",
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_a_header_that_lies_is_refused_before_an_array_is_made(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    refused(lambda: npy_array(tmp_path / "a.npy", "data_file"), "a.npy")


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_a_header_that_lies_in_an_archive_is_refused(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("b.npy", content)
    refused(lambda: npz_arrays(tmp_path / "a.npz", ["b"], "data_file"), "a.npz: b")


def refused(read, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        read()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_zeros_that_unpack_to_more_than_the_limit_are_refused_unread(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", b=np.zeros(2**21, np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < 2**13
    with raised_limits(unpacked=2**20):
        refused(lambda: npz_arrays(tmp_path / "a.npz", ["b"], "data_file"), "--limit unpacked=")
    assert npz_arrays(tmp_path / "a.npz", ["b"], "data_file")[0].nbytes == 2**21


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_archive_packed_in_another_way_is_refused(tmp_path, method):
    np.save(content := io.BytesIO(), np.zeros(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("b.npy", content.getvalue())
    refused(lambda: npz_arrays(tmp_path / "a.npz", ["b"], "data_file"), "in a way that is not read")


def test_a_damaged_archive_is_refused_wherever_it_is_cut(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", b=np.arange(50))
    content = (tmp_path / "a.npz").read_bytes()
    for length in range(0, len(content), 3):
        (tmp_path / "a.npz").write_bytes(content[:length])
        refused(lambda: npz_arrays(tmp_path / "a.npz", ["b"], "data_file"), "a.npz")


def test_no_flipped_byte_gives_other_numbers(tmp_path):
    array = np.arange(50)
    np.savez_compressed(tmp_path / "a.npz", b=array)
    content = (tmp_path / "a.npz").read_bytes()
    for place in range(0, len(content), 3):
        flipped = content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :]
        (tmp_path / "a.npz").write_bytes(flipped)
        try:
            (found,) = npz_arrays(tmp_path / "a.npz", ["b"], "data_file")
        except (InputError, KeyError):
            continue
        np.testing.assert_array_equal(found, array)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    refused(lambda: npz_names(tmp_path / "a.npz", "data_file"), "got a pipe")


def test_what_is_as_dense_as_photographs_is_read_whatever_its_size(tmp_path):
    dense = np.random.default_rng(0).integers(0, 256, 2**18, dtype=np.uint8)
    np.savez_compressed(tmp_path / "a.npz", b=dense)
    with raised_limits(unpacked=2**10):
        np.testing.assert_array_equal(npz_arrays(tmp_path / "a.npz", ["b"], "data_file")[0], dense)
