"""What lies beside the weights in a pickle is read as data, whatever it claims to be."""

import argparse
import collections
import datetime
import pathlib
import pickle
import types
import zipfile

import numpy as np
import pytest
import torch
from foreign_files import state

from checkpoints.formats.contents import find_weights
from checkpoints.formats.foreign import load_foreign
from checkpoints.formats.pickles.stand_ins import STAND_INS, Array, Beside
from checkpoints.formats.pickles.tensors import TENSORS
from checkpoints.formats.torch_files import read_torch
from spectra.errors import InputError


def factory_made():
    made = collections.defaultdict(list)
    made["loss"].append(0.5)
    return made


BESIDE = {
    "Namespace": argparse.Namespace(lr=0.1, data=pathlib.PurePosixPath("/data"), betas=(0.9, 0.99)),
    "SimpleNamespace": types.SimpleNamespace(width=3),
    "defaultdict": factory_made(),
    "Counter": collections.Counter("aab"),
    "deque": collections.deque([1, 2], maxlen=4),
    "OrderedDict": collections.OrderedDict(a=1),
    "sets": [{1, 2}, frozenset([3])],
    "date": [datetime.datetime(2024, 5, 1, 12), datetime.timedelta(3)],
    "numpy scalars": [np.float64(0.5), np.int64(3), np.bool_(True), np.str_("text")],
    "numpy arrays": [np.arange(6.0).reshape(2, 3), np.array(["a", "bc"])],
    "bytes": [b"\xff\x00", bytearray(b"abc")],
    "range": range(3),
    "long integer": 2**70,
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
def test_weights_are_read_whatever_lies_beside_them(save, beside, protocol, legacy):
    content = {"args": beside, "state_dict": state("softmax")}
    path = save(content, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    found = load_foreign(path).state
    torch.testing.assert_close(dict(found), dict(content["state_dict"]), rtol=0, atol=0)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(3, dtype=">i4"),
        np.zeros((0, 2), dtype=np.float16),
        np.array([True, False]),
    ],
    ids=["float64", "columns first", "big-endian", "empty", "truth values"],
)
def test_arrays_of_numpy_are_read_to_the_same_numbers(save, array, protocol):
    found = read_torch(save({"array": array}, pickle_protocol=protocol))["array"]
    assert isinstance(found, Array)
    np.testing.assert_array_equal(found.values, array)


def test_weights_kept_as_arrays_of_numpy_are_weights(save):
    weights = {key: value.numpy() for key, value in state().items()}
    assert load_foreign(save({"params": weights})).architecture.name == "resnet8"


def test_the_same_text_under_protocol_4_stays_the_same(save):
    content = {"a": "argparse", "b": "argparse", "c": argparse.Namespace(x="Namespace"), "d": ""}
    found = read_torch(save(content, pickle_protocol=4))
    assert (found["a"], found["b"], found["d"]) == ("argparse", "argparse", "")
    assert found["c"].state == {"x": "Namespace"}


def test_a_namespace_is_never_made(save):
    found = read_torch(save({"args": argparse.Namespace(lr=0.1)}))["args"]
    assert type(found) is Beside
    assert found.state == {"lr": 0.1}


def test_what_is_called_for_a_name_is_of_this_package_alone():
    called = {stand_in.__module__.rpartition(".")[0] for stand_in in (STAND_INS | TENSORS).values()}
    assert called == {"checkpoints.formats.pickles"}


def pickled(tmp_path, instructions: bytes):
    """A file of torch's whose pickle is ``instructions``."""
    path = tmp_path / "net.pth"
    torch.save({}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, instructions if name.endswith("data.pkl") else part)
    return path


class MarkedError(Exception):
    pass


def sprung(*arguments):
    raise MarkedError


# Each asks for a call of an admitted name, or fills an object with what would be called later.
ATTACKS = {
    "a factory that is called": b"\x80\x02ccollections\ndefaultdict\ncos\nsystem\n\x85R.",
    "a built-in that is called": b"\x80\x02cbuiltins\neval\nX\x03\x00\x00\x001+1\x85R.",
    "getattr": b"\x80\x02cbuiltins\ngetattr\n)R.",
    "functools.partial": b"\x80\x02cfunctools\npartial\n)R.",
    "numpy's loader": b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00x\x85R.",
    "an attribute of an admitted class": b"\x80\x02cargparse\nNamespace.__init__\n)R.",
    "by protocol 4": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
    "by copyreg": b"\x80\x02ccopyreg\n_reconstructor\n)R.",
    "by an extension code": b"\x80\x02\x82\x01.",
    "by INST": b"\x80\x03(X\x02\x00\x00\x00idios\nsystem\n.",
    "by OBJ": b"\x80\x03(cos\nsystem\nX\x02\x00\x00\x00ido.",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_no_pickle_calls_anything(tmp_path, attack, monkeypatch):
    monkeypatch.setattr("os.system", sprung)
    monkeypatch.setattr("builtins.eval", sprung)
    with pytest.raises(InputError) as error:
        read_torch(pickled(tmp_path, attack))
    assert "\n" not in str(error.value)


def test_the_factory_of_a_dictionary_is_left_out(tmp_path):
    instructions = b"\x80\x02ccollections\ndefaultdict\ncbuiltins\nlist\n\x85R."
    found = read_torch(pickled(tmp_path, instructions))
    assert type(found) is dict
    with pytest.raises(KeyError):
        found["absent"]


def test_attributes_of_a_dictionary_do_not_hide_its_methods():
    hiding = collections.OrderedDict(state("softmax"))
    hiding.items = hiding.keys = 3
    (place,) = find_weights(pathlib.Path("net.pth"), {"state_dict": hiding}).places
    assert set(place.state) == {"linear.weight", "linear.bias"}


@pytest.mark.parametrize(
    "array", [np.array([object], dtype=object), np.zeros(2, dtype=[("a", "f4"), ("b", "O")])]
)
def test_arrays_of_more_than_numbers_are_refused(save, array):
    with pytest.raises(InputError, match=r"asks for"):
        read_torch(save({"array": array}))


def test_a_type_of_numpy_is_not_filled_from_a_pickle(tmp_path):
    # numpy would take flags from here that make it read numbers as addresses of objects.
    kind = pickle.dumps(np.dtype("f8"), protocol=2)
    instructions = kind[:-1] + pickle.dumps((3, "<", None, ("a",), {}, 8, 1, 63), protocol=2)[2:-1]
    found = read_torch(pickled(tmp_path, instructions + b"b."))
    assert type(found).__module__ == "checkpoints.formats.pickles.stand_ins"


def test_a_class_that_is_not_admitted_is_named_with_what_to_do(save):
    with pytest.raises(
        InputError, match=r"asks for \w+\.MarkedError, and only .*; save model\.state_"
    ):
        load_foreign(save({"state_dict": state(), "config": MarkedError()}))
