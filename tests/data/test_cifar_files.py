import hashlib
import os
import pickle
import struct

import numpy as np
import pytest

from checkpoints.data.cifar import DIGESTS, damaged_files, read_cifar
from spectra.errors import InputError


def python2(value) -> bytes:
    """Opcodes that Python 2's cPickle wrote, protocol 2: str is bytes, numpy.core spelling."""
    if isinstance(value, bytes):
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(python2(x) for pair in value.items() for x in pair) + b"u"
    shape = b"".join(map(python2, value.shape))
    name = value.dtype.str.lstrip("|<").encode()
    dtype = (
        b"cnumpy\ndtype\n(" + python2(name) + b"K\x00K\x01tR(K\x03" + python2(b"|") + b"NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + python2(b"b") + b"tR"
        b"(K\x01(" + shape + b"t" + dtype + b"\x89" + python2(value.tobytes()) + b"tb"
    )


def batch(seed: int, n: int = 4, key: bytes = b"labels", classes: int = 10) -> dict:
    rng = np.random.default_rng(seed)
    return {
        b"batch_label": b"some batch",
        key: rng.integers(0, classes, n).tolist(),
        b"data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
        b"filenames": [b"a.png"] * n,
    }


def write(folder, contents: dict[str, bytes]) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {
        name: hashlib.md5(content, usedforsecurity=False).hexdigest()
        for name, content in contents.items()
    }


def pickled(value) -> bytes:
    return b"\x80\x02" + python2(value) + b"."


@pytest.fixture
def batches():
    return {name: batch(seed) for seed, name in enumerate(DIGESTS["cifar10"])}


@pytest.fixture
def cifar10(tmp_path, batches):
    folder = tmp_path / "cifar-10-batches-py"
    return folder, write(folder, {name: pickled(b) for name, b in batches.items()})


def test_training_batches_are_joined_in_official_order(cifar10, batches):
    train, _ = read_cifar(cifar10[0], "cifar10", digests=cifar10[1])
    expected = np.concatenate([b[b"data"] for b in list(batches.values())[:5]])
    assert np.array_equal(train.images.numpy(), expected.reshape(-1, 3, 32, 32))


def test_labels_stay_with_their_images(cifar10, batches):
    train, _ = read_cifar(cifar10[0], "cifar10", digests=cifar10[1])
    expected = [label for b in list(batches.values())[:5] for label in b[b"labels"]]
    assert train.labels.tolist() == expected


def test_the_last_file_is_the_test_set(cifar10, batches):
    _, test = read_cifar(cifar10[0], "cifar10", digests=cifar10[1])
    assert test.labels.tolist() == batches["test_batch"][b"labels"]


def test_the_parent_folder_does_as_well(cifar10):
    train, _ = read_cifar(cifar10[0].parent, "cifar10", digests=cifar10[1])
    assert len(train) == 20


def test_cifar100_is_read_with_fine_labels(tmp_path):
    content = {
        name: {**batch(seed, key=b"fine_labels", classes=100), b"coarse_labels": [0] * 4}
        for seed, name in enumerate(("train", "test"))
    }
    digests = write(tmp_path, {name: pickled(b) for name, b in content.items()})
    train, _ = read_cifar(tmp_path, "cifar100", digests=digests)
    assert train.labels.tolist() == content["train"][b"fine_labels"]


def test_a_batch_written_by_todays_numpy_is_read_too(tmp_path):
    plain = {"labels": [1, 2], "data": np.zeros((2, 3072), dtype=np.uint8)}
    digests = write(tmp_path, {"train": pickle.dumps(plain), "test": pickle.dumps(plain)})
    train, _ = read_cifar(tmp_path, "cifar10", digests=digests)
    assert train.labels.tolist() == [1, 2]


def test_a_file_other_than_the_official_one_is_refused(cifar10):
    with pytest.raises(InputError, match="not the official file: expected MD5 c99cafc"):
        read_cifar(cifar10[0], "cifar10")


def test_a_pipe_or_a_huge_file_in_place_of_a_batch_is_refused_unread(cifar10):
    (cifar10[0] / "data_batch_3").unlink()
    os.mkfifo(cifar10[0] / "data_batch_3")
    with pytest.raises(InputError, match="got a pipe; 'spectra data fetch cifar10'"):
        read_cifar(cifar10[0], "cifar10", digests=cifar10[1])
    (cifar10[0] / "data_batch_3").unlink()
    with (cifar10[0] / "data_batch_3").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="data_batch_3 is larger than the official file"):
        read_cifar(cifar10[0], "cifar10", digests=cifar10[1])


def test_a_missing_file_is_named(cifar10):
    (cifar10[0] / "data_batch_3").unlink()
    with pytest.raises(InputError, match=r"cannot read .*data_batch_3: No such file"):
        read_cifar(cifar10[0], "cifar10", digests=cifar10[1])


def test_nothing_is_unpickled_before_its_digest_is_checked(tmp_path, monkeypatch):
    write(tmp_path, {"train": b"anything", "test": b"anything"})
    monkeypatch.setattr("checkpoints.data.cifar._load", lambda *_: pytest.fail("unpickled"))
    with pytest.raises(InputError, match="official file"):
        read_cifar(tmp_path, "cifar100")


class MakeFile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_would_run_something_does_not_run(tmp_path):
    digests = write(
        tmp_path / "c", dict.fromkeys(("train", "test"), pickle.dumps(MakeFile(tmp_path / "x")))
    )
    with pytest.raises(InputError):
        read_cifar(tmp_path / "c", "cifar10", digests=digests)
    assert not (tmp_path / "x").exists()


def test_a_refused_global_is_named_in_one_line(tmp_path):
    digests = write(tmp_path, dict.fromkeys(("train", "test"), pickle.dumps(MakeFile("x"))))
    with pytest.raises(InputError, match=r"it asks for (io|_io)\.open, and only numpy") as error:
        read_cifar(tmp_path, "cifar10", digests=digests)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([1], "should hold a dictionary, got list"),
        ({b"data": np.zeros((1, 3072), np.uint8)}, "should hold data and labels, got data"),
        ({b"data": np.zeros((1, 30), np.uint8), b"labels": [0]}, r"shape \(1, 30\)"),
        ({b"data": b"no array", b"labels": [0]}, "got str of shape"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}, "a list of 2 integers"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, "from 0 to 9"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [b"7"]}, "from 0 to 9"),
    ],
)
def test_a_batch_without_cifar_images_is_refused(tmp_path, content, complaint):
    digests = write(tmp_path, dict.fromkeys(("train", "test"), pickled(content)))
    with pytest.raises(InputError, match=complaint):
        read_cifar(tmp_path, "cifar10", digests=digests)


def test_a_truncated_pickle_is_refused(tmp_path):
    digests = write(tmp_path, dict.fromkeys(("train", "test"), pickled(batch(0))[:-3000]))
    with pytest.raises(InputError, match="refused to read"):
        read_cifar(tmp_path, "cifar10", digests=digests)


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="one of cifar10, cifar100, got 'cifar'"):
        read_cifar(None, "cifar")


def test_damaged_and_missing_files_are_listed(cifar10):
    folder, digests = cifar10
    (folder / "test_batch").write_bytes(b"")
    (folder / "data_batch_2").unlink()
    assert damaged_files(folder, digests) == ["data_batch_2", "test_batch"]
