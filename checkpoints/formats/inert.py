"""What may lie beside weights in a pickle, and the stand-in for each: data alone, nothing runs.

torch's restricted reader makes an object of an admitted class by calling it, and fills it by its
``__setstate__``. None of the classes of other libraries is admitted. Their names are, and each
name stands for a class of this file, which keeps what the pickle says and does nothing with it.
So a pickle that names ``argparse.Namespace`` reaches no code of argparse, one that names
``collections.defaultdict`` gets a dictionary without a factory, and numpy's scalars and arrays
are read from their bytes.
"""

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

# Numbers, truth values and text; no records and no objects.
_CODE = re.compile(r"[fiuc](?:1|2|4|8|16)|b1|[US]\d{1,9}")


class Beside:
    """An object beside the weights, such as a Namespace, a date or a path: never made."""

    def __new__(cls, *args: Any) -> "Beside":
        """Take whatever the pickle gives."""
        return object.__new__(cls)

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state


class BesideDict:
    """A dictionary of another class: read as a plain one, its factory left out."""

    def __new__(cls, *args: Any) -> Any:
        """Return an ordered dictionary, the kind that torch's reader fills."""
        return OrderedDict()


class BesideList:
    """A queue: read as a list."""

    def __new__(cls, *args: Any) -> Any:
        """Return a list, which torch's reader fills."""
        return []


class BesideTuple:
    """A frozen set: read as the tuple of its members."""

    def __new__(cls, *args: Any) -> Any:
        """Return the members, which the pickle gives as a list."""
        return tuple(args[0]) if args and type(args[0]) in (list, tuple) else ()


class BesideBytes:
    """Bytes: those that are given, most often none."""

    def __new__(cls, *args: Any) -> Any:
        """Return the bytes."""
        return args[0] if args and type(args[0]) is bytes else b""


class Kind:
    """The type of numpy's numbers, read from its code; no numpy type is filled from a pickle."""

    def __new__(cls, *args: Any) -> "Kind":
        """Take the code, such as ``f8``."""
        return object.__new__(cls)

    def __init__(self, code: Any = "", *args: Any) -> None:
        self.code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(self.code, str) or not _CODE.fullmatch(self.code):
            raise pickle.UnpicklingError(
                f"class numpy.ndarray of {self.code!r} holds more than numbers"
            )
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"numpy knows no byte order {order!r}")
        self.order = order

    def read(self, data: Any, count: int) -> npt.NDArray[Any]:
        """Return ``count`` values from the start of ``data``, in the machine's byte order."""
        found = np.frombuffer(data, np.dtype(self.order + self.code), count)
        return found.astype(found.dtype.newbyteorder("="))


class Array:
    """An array of numpy, read from its bytes.

    Attributes:
        values: the numbers; empty until the pickle has given them.
    """

    def __new__(cls, *args: Any) -> "Array":
        """Take whatever the pickle gives."""
        return object.__new__(cls)

    def __init__(self, *args: Any) -> None:
        self.values: npt.NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        self.values = _shaped(kind, data, shape, "F" if fortran else "C")


def _scalar(kind: Kind, data: bytes) -> Any:
    return kind.read(data, 1)[0]


def _from_buffer(data: Any, kind: Kind, shape: tuple[int, ...], order: str) -> Array:
    found = Array()
    found.values = _shaped(kind, data, shape, "F" if order == "F" else "C")
    return found


def _shaped(kind: Any, data: Any, shape: Any, order: Any) -> npt.NDArray[Any]:
    if type(kind) is not Kind:
        raise pickle.UnpicklingError("an array of numpy does not name its type")
    count = 1
    for length in shape:
        count *= int(length)
    return kind.read(data, count).reshape(shape, order=order)


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
        "torch.torch_version.TorchVersion",
    ),
    BesideDict: (
        "collections.defaultdict",
        "addict.addict.Dict",
        "easydict.EasyDict",
        "lightning.fabric.utilities.data.AttributeDict",
        "lightning_fabric.utilities.data.AttributeDict",
        "lightning.pytorch.utilities.parsing.AttributeDict",
        "pytorch_lightning.utilities.parsing.AttributeDict",
    ),
    BesideList: ("collections.deque",),
    BesideBytes: ("builtins.bytes",),
    BesideTuple: ("builtins.frozenset",),
    Kind: ("numpy.dtype",),
    _scalar: ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
    Array: ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    _from_buffer: ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"),
}
ADMITTED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (stand_in, name) for stand_in, names in _NAMES.items() for name in names
]
"""As ``torch.serialization.safe_globals`` takes them: the stand-in, and the name in the pickle."""
