"""The reader of one pickle: a machine with a stack, a memory, and a bound on all that it does.

It reads protocols 2 to 5 as ``torch.save`` writes them. A few hundred bytes can ask for more than a
machine has: tuples of the same tuple, forty deep, are a terabyte to whoever looks through them.
So the machine counts its steps, knows of each object how deep it is and how many objects it comes
to when it is written out, and adds up what it gives to be worked on. It is written in Python, so
Ctrl-C ends it.
"""

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Mapping
from pickle import UnpicklingError
from typing import Any, Protocol

import numpy as np

from checkpoints.formats.pickles.stand_ins import (
    STAND_INS,
    Array,
    Beside,
    Kind,
    NotAdmittedError,
    as_key,
)
from checkpoints.formats.pickles.tensors import TENSORS, WORDS
from spectra.system.files.limits import check_limit, limit

_CALLED = {**STAND_INS, **TENSORS}
_LONGEST_NAME = 200  # ours: of a class with its module
_VALUES = frozenset((
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
))  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: Mapping[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list, "EMPTY_TUPLE": tuple,
}  # fmt: skip
_PLAIN = (str, bytes, int, float, complex, np.generic, type(None))
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class HoldsItselfError(UnpicklingError):
    """An object is, at some depth, in itself; or more is put into it once others hold it."""


class Readable(Protocol):
    """What a pickle is read from."""

    def read(self, count: int, /) -> bytes:
        """Return the next ``count`` bytes, or those that are left."""

    def readline(self) -> bytes:
        """Return the rest of a line."""


def read_pickle(file: Readable, origin: str, storage: Callable[[Any], Any]) -> Any:
    """Read the next pickle of a file, and leave the file at its end.

    Args:
        file: the pickle is read from where it stands.
        origin: names it in errors.
        storage: returns what a reference to something outside the pickle means.

    Returns:
        Plain values, tensors, and stand-ins. Sets are lists and frozen sets tuples; no object
        holds itself.

    Raises:
        NotAdmittedError: it names a class or function that stands for nothing.
        UnpicklingError: ``torch.save`` writes no such thing.
        InputError: it is larger, deeper or longer than the limits.
        ValueError: it is no pickle, or cut short. IndexError, KeyError, TypeError: it is damaged.
    """
    return _Machine(origin, storage).run(file)


class _Machine:
    def __init__(self, origin: str, storage: Callable[[Any], Any]) -> None:
        self.origin, self.storage = origin, storage
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        # Of each list, dictionary, tuple and stand-in, by its id: depth, objects in it, whether it
        # is in another; all are kept so that no id comes again.
        self.known: dict[int, tuple[int, int]] = {}
        self.placed: set[int] = set()
        self.kept: list[Any] = []
        self.worked = self.worked_bytes = 0

    def run(self, file: Readable) -> Any:
        most = limit("pickle_steps")
        instructions = pickletools.genops(file)  # type: ignore[arg-type]
        for steps, (operation, value, _) in enumerate(instructions, 1):
            if steps > most:
                check_limit("pickle_steps", steps, self.origin)
            name = operation.name
            if name in _VALUES:
                self.stack.append(value)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name == "STOP":
                return self.stack[-1]
            else:
                self.take(name, value)
        raise UnpicklingError("it has no end")

    def take(self, name: str, value: Any) -> None:
        """Do what an instruction says that does more than bring a value."""
        stack = self.stack
        if name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[value])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[value] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name == "MARK":
            self.below.append(stack)
            self.stack = []
        elif name in _EMPTY:
            stack.append(self.made(_EMPTY[name]()))
        elif name in _TUPLES:
            self.tuple_(_taken(stack, _TUPLES[name]))
        elif name in ("TUPLE", "FROZENSET"):
            self.tuple_(self.marked())
        elif name in ("SETITEM", "SETITEMS"):
            self.set_items(self.marked() if name == "SETITEMS" else _taken(stack, 2))
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            self.extend([stack.pop()] if name == "APPEND" else self.marked())
        elif name in ("SHORT_BINSTRING", "BYTEARRAY8"):
            stack.append(_text(value) if name == "SHORT_BINSTRING" else bytes(value))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self.named(*(str(value).split(" ", 1) if name == "GLOBAL" else _taken(stack, 2)))
        elif name in ("REDUCE", "NEWOBJ"):
            self.call(*_taken(stack, 2))
        elif name == "BUILD":
            self.fill(stack.pop())
        elif name == "BINPERSID":
            stack.append(self.storage(stack.pop()))
        elif name not in ("PROTO", "FRAME"):
            raise UnpicklingError(f"Unsupported operand {name}")

    def marked(self) -> list[Any]:
        """Return what lies above the last mark, and take both away."""
        found, self.stack = self.stack, self.below.pop()
        return found

    def made(self, thing: Any, parts: tuple[Any, ...] | list[Any] = ()) -> Any:
        """Take note of a new object."""
        if id(thing) not in self.known:
            self.kept.append(thing)
            self.known[id(thing)] = (1, 1)
        self.place(thing, parts)
        return thing

    def place(self, holder: Any, parts: tuple[Any, ...] | list[Any]) -> None:
        """Take note that an object holds others.

        Raises:
            HoldsItselfError: it is in another object already, and what was noted of that is wrong.
        """
        if not parts:
            return
        depth, objects = self.known[id(holder)]
        if id(holder) in self.placed:
            raise HoldsItselfError("an object holds itself, or is filled once others hold it")
        for part in parts:
            below, inside = self.known.get(id(part), (0, 1))
            depth, objects = max(depth, below + 1), objects + inside
            if part is holder:
                raise HoldsItselfError("an object holds itself, or is filled once others hold it")
            if below:
                self.placed.add(id(part))
        self.check(depth, objects)
        self.known[id(holder)] = depth, objects

    def check(self, depth: int, objects: int) -> None:
        if depth > limit("depth"):
            check_limit("depth", depth, f"{self.origin}: the depth of an object")
        if objects > limit("pickle_steps"):
            check_limit("pickle_steps", objects, f"{self.origin}: an object written out")

    def work_on(self, parts: tuple[Any, ...]) -> None:
        """Add up what functions are given: each is done with it in time that goes with its size."""
        self.worked += sum(self.known.get(id(part), (0, 1))[1] for part in parts)
        self.worked_bytes += sum(len(part) for part in parts if type(part) in (str, bytes))
        check_limit("pickle_steps", self.worked, f"{self.origin}: what is worked on")
        check_limit("pickle", self.worked_bytes, f"{self.origin}: what is worked on")

    def tuple_(self, parts: list[Any]) -> None:
        found = tuple(parts)
        # () is one object for all: nothing is known of it.
        self.stack.append(self.made(found, found) if found else found)

    def set_items(self, parts: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(parts) % 2:
            raise UnpicklingError("a value is put into what is no dictionary")
        self.place(target, parts)
        self.work_on(tuple(key for key in parts[::2] if type(key) is tuple))
        for key, value in zip(parts[::2], parts[1::2], strict=True):
            target[as_key(key)] = value

    def extend(self, parts: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise UnpicklingError("a value is put into what is no list")
        self.place(target, parts)
        target.extend(parts)

    def named(self, module: Any, attribute: Any) -> None:
        """Put what stands for a name upon the stack."""
        if type(module) is not str or type(attribute) is not str:
            raise UnpicklingError("a name is no text")
        if len(module) + len(attribute) > _LONGEST_NAME:
            raise UnpicklingError("the name of a class is longer than any")
        # Python 3 writes the names of Python 2 into pickles of protocol 2.
        module, attribute = NAME_MAPPING.get(
            (module, attribute), (IMPORT_MAPPING.get(module, module), attribute)
        )
        name = f"{module}.{attribute}"
        if name not in _CALLED and name not in WORDS:
            raise NotAdmittedError(name)
        self.stack.append(_CALLED.get(name) or WORDS[name])

    def call(self, function: Any, args: Any) -> None:
        """Put what a stand-in makes of its arguments upon the stack."""
        if not callable(function) or type(args) is not tuple:
            raise UnpicklingError("what is called is no function")
        self.work_on(args)
        made = function(*args)
        if (
            isinstance(made, _PLAIN)
            or (type(made) is tuple and not made)
            or any(made is part for part in args)
        ):
            self.stack.append(made)
        else:
            self.stack.append(self.made(made, args))

    def fill(self, state: Any) -> None:
        """Give an object its content, or leave that out where the object has none."""
        target = self.stack[-1]
        if isinstance(target, Beside | Kind | Array):
            parts = state if type(state) is tuple else (state,)
            self.work_on(parts)
            self.place(target, parts)
            target.fill(state)
        elif type(target) not in (dict, list):  # attributes of a dictionary's own class
            raise UnpicklingError("what is filled is no object")


def _taken(stack: list[Any], count: int) -> list[Any]:
    """Return the last values, and take them away."""
    if len(stack) < count:
        raise IndexError("the stack holds too little")
    found = stack[-count:]
    del stack[-count:]
    return found


def _text(value: str) -> str:
    """Return text of Python 2, which pickletools reads as one character a byte."""
    try:
        return value.encode("latin1").decode("utf-8")
    except UnicodeDecodeError:
        return value
