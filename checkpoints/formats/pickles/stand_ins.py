"""What a pickle may name beside tensors, and the stand-in for each: data alone, nothing runs.

A pickle names classes and functions to be called. None is looked up. A name stands for a function
of this file or of ``tensors.py``, which makes plain data of the arguments; a name that stands for
nothing is refused. So a pickle that names ``argparse.Namespace`` reaches no code of argparse, one
that names ``collections.defaultdict`` gets a dictionary without a factory, and numpy's scalars and
arrays are read from their bytes.
"""

import math
import re
from collections.abc import Callable, Mapping
from pickle import UnpicklingError
from typing import Any

import numpy as np
import numpy.typing as npt

# Numbers, truth values and text; no records and no objects.
_LONGEST_KEY, _LONGEST_PART = 16, 1000  # ours: parts of a tuple, and characters of one
_CODE = re.compile(r"[fiuc](?:1|2|4|8|16)|b1|[US]\d{1,9}")


class NotAdmittedError(UnpicklingError):
    """A pickle names something that stands for nothing here.

    Attributes:
        name: of it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Beside:
    """An object beside the weights, such as a Namespace, a date or a path: never made."""

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.state: Any = None

    def fill(self, state: Any) -> None:
        """Keep what the pickle says that is in the object."""
        self.state = state


class Kind:
    """The type of numpy's numbers, read from its code; no numpy type is filled from a pickle."""

    def __init__(self, code: Any = "", *args: Any) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(self.code, str) or not _CODE.fullmatch(self.code):
            shown = repr(self.code[:20]) if isinstance(self.code, str) else "objects"
            raise NotAdmittedError(f"numpy.ndarray of {shown}")
        self.order = "="

    def fill(self, state: Any) -> None:
        """Take the order of the bytes from the state; its second entry."""
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "=", "|"):
            raise UnpicklingError("numpy does not know this order of bytes")
        self.order = order

    def read(self, data: Any, count: int) -> npt.NDArray[Any]:
        """Return ``count`` values from the start of ``data``, in the machine's byte order."""
        raw = data.encode("latin1") if isinstance(data, str) else data  # Python 2's bytes
        found = np.frombuffer(raw, np.dtype(self.order + self.code), count)
        return found.astype(found.dtype.newbyteorder("="))


class Array:
    """An array of numpy, read from its bytes.

    Attributes:
        values: the numbers; empty until the pickle has given them.
    """

    def __init__(self, *args: Any) -> None:
        self.values: npt.NDArray[Any] = np.zeros(0)

    def fill(self, state: Any) -> None:
        """Read the numbers from (version, shape, type, columns first?, bytes)."""
        _, shape, kind, fortran, data = state
        self.values = _shaped(kind, data, shape, "F" if fortran else "C")


def integers(values: Any) -> tuple[int, ...]:
    """Return sizes, strides or offsets that a pickle states.

    Raises:
        UnpicklingError: one is no integer from 0 that a machine has addresses for.
    """
    if type(values) not in (tuple, list) or not all(type(v) is int for v in values):
        raise UnpicklingError("a shape or stride is no list of integers")
    if len(values) > 32 or not all(0 <= v < 2**60 for v in values):
        raise UnpicklingError("a shape or stride is out of range")
    return tuple(values)


def as_key(key: Any) -> Any:
    """Return what a dictionary keeps a value under: text or a small integer, as others look like.

    Nothing else is hashed. Text is hashed with a secret and integers below 2^61 stand for
    themselves; whoever writes the file can choose numbers and tuples that all have one hash, so
    that a dictionary of them takes hours.

    Raises:
        UnpicklingError: it is nothing that is plain.
    """
    if type(key) is str or (type(key) is int and abs(key) < 2**61 - 1):
        return key
    if type(key) is tuple and len(key) <= _LONGEST_KEY:
        written = ", ".join(str(as_key(part))[:_LONGEST_PART] for part in key)
        return f"({written[:_LONGEST_PART]})"
    if key is None or type(key) in (bool, int, float, complex) or isinstance(key, np.generic):
        return str(key)
    if type(key) is bytes and len(key) <= _LONGEST_PART:
        return key.decode("latin1")
    raise UnpicklingError("a key of a dictionary is neither text nor a number")


def as_bytes(value: Any) -> bytes:
    """Return the bytes that a pickle gives, as bytes or as text of one byte a character."""
    if type(value) is str:
        return value.encode("latin1")
    if type(value) is not bytes:
        raise UnpicklingError("bytes are made of something else")
    return value


def _shaped(kind: Any, data: Any, shape: Any, order: Any) -> npt.NDArray[Any]:
    if type(kind) is not Kind:
        raise UnpicklingError("an array of numpy does not name its type")
    lengths = integers(shape)
    return kind.read(data, math.prod(lengths)).reshape(lengths, order=order)


def _scalar(kind: Any, data: Any) -> Any:
    return _shaped(kind, data, (1,), "C")[0]


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> Array:
    found = Array()
    found.values = _shaped(kind, data, shape, "F" if order == "F" else "C")
    return found


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    if encoding != "latin1" or type(text) is not str:
        raise UnpicklingError("bytes are written in an encoding of their own")
    return text.encode("latin1")


def _bytes(*args: Any) -> bytes:
    return as_bytes(args[0]) if args else b""


def _list(*args: Any) -> list[Any]:
    return list(args[0]) if args and type(args[0]) in (list, tuple) else []


def _tuple(*args: Any) -> tuple[Any, ...]:
    return tuple(_list(*args))


def _dictionary(*args: Any) -> dict[Any, Any]:
    """Return a dictionary of any class as a plain one, its factory left out; it is filled later."""
    return {}


def _pairs(*args: Any) -> dict[Any, Any]:
    """Return the dictionary of an OrderedDict of Python 2, or of a Counter."""
    if not args:
        return {}
    if type(args[0]) is dict:
        return dict(args[0])
    if type(args[0]) not in (list, tuple) or not all(
        type(pair) in (list, tuple) and len(pair) == 2 for pair in args[0]
    ):
        raise UnpicklingError("a dictionary is made of something else than pairs")
    return {as_key(key): value for key, value in args[0]}


def _complex(real: Any = 0.0, imaginary: Any = 0.0) -> complex:
    if type(real) not in (int, float) or type(imaginary) not in (int, float):
        raise UnpicklingError("a complex number is made of something else")
    return complex(real, imaginary)


_NAMES: dict[Callable[..., Any], tuple[str, ...]] = {
    Beside: (
        "argparse.Namespace",
        "types.SimpleNamespace",
        "datetime.date",
        "datetime.datetime",
        "datetime.time",
        "datetime.timedelta",
        "datetime.timezone",
        "decimal.Decimal",
        "fractions.Fraction",
        "uuid.UUID",
        *(
            f"{module}.{name}"
            for module in ("pathlib", "pathlib._local")
            for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
        ),
        # What a defaultdict makes its values by, and arrays their class: never called to any end.
        "builtins.bool",
        "builtins.dict",
        "builtins.float",
        "builtins.int",
        "builtins.list",
        "builtins.range",
        "builtins.slice",
        "builtins.str",
        "builtins.tuple",
        "numpy.ndarray",
        "torch.device",
        "torch.torch_version.TorchVersion",
    ),
    _dictionary: (
        "collections.defaultdict",
        "addict.addict.Dict",
        "easydict.EasyDict",
        "lightning.fabric.utilities.data.AttributeDict",
        "lightning_fabric.utilities.data.AttributeDict",
        "lightning.pytorch.utilities.parsing.AttributeDict",
        "pytorch_lightning.utilities.parsing.AttributeDict",
    ),
    _pairs: ("collections.OrderedDict", "collections.Counter"),
    _list: ("builtins.set", "collections.deque"),
    _tuple: ("builtins.frozenset", "torch.Size"),
    _bytes: ("builtins.bytes", "builtins.bytearray"),
    _encoded: ("_codecs.encode",),
    _complex: ("builtins.complex",),
    Kind: ("numpy.dtype",),
    _scalar: ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
    Array: ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    _from_buffer: ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"),
}
STAND_INS: Mapping[str, Callable[..., Any]] = {
    name: stand_in for stand_in, names in _NAMES.items() for name in names
}
"""What is called for a name."""
