"""Networks of the user's own and of other libraries, built by whatever the user names."""

import contextlib
import copy
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from checkpoints.own_code import OwnCode, import_own, needs
from spectra.errors import InputError

CLASSES = ("num_classes", "n_classes", "nclasses", "classes", "num_labels", "n_labels")
"""What the argument for the number of classes is called, in this order."""


@dataclass(frozen=True)
class Factory:
    """Something that builds a network.

    Attributes:
        name: as it is recorded and spoken of, without folders.
        call: builds it; takes the number of classes, or None.
        num_classes: outputs, where the factory itself fixes them.
        takes_classes: whether it has an argument for their number.
        asks_classes: whether it cannot be called without it.
        renamed: reads the weights of a folder under the names that the library has for them now;
            None: they have no others.
        source: SHA-256 of the user's own code, see :func:`own_factory`; None: a library's.
    """

    name: str
    call: Callable[[int | None], Any]
    num_classes: int | None = None
    takes_classes: bool = True
    asks_classes: bool = False
    renamed: Callable[[Path], Mapping[str, Tensor]] | None = None
    source: str | None = None

    def build(self, num_classes: int | None = None) -> nn.Module:
        """Build the network.

        Args:
            num_classes: outputs, for a factory that takes them; None: what it does without.

        Raises:
            InputError: it fails, with the file and line of its code; or it gives no network.
        """
        model = self.call(num_classes)
        if not isinstance(model, nn.Module):
            raise InputError(
                f"{self.name} must give a torch.nn.Module, it gave {type(model).__name__}; name "
                "the class of the network, or a function that returns one"
            )
        return model


def own_factory(text: str, folders: Sequence[Path] = ()) -> Factory:
    """Import a factory of the user's own and look at how it is to be called.

    Args:
        text: see :func:`checkpoints.own_code.import_own`: a class, a function, or a network.
        folders: where it may lie besides.

    Raises:
        InputError: there is no such thing, it cannot be imported, or it needs more arguments.
    """
    code = import_own(text, folders)
    if isinstance(code.found, nn.Module):
        return Factory(
            code.name,
            lambda classes: copy.deepcopy(code.found),
            takes_classes=False,
            source=_source_digest(code),
        )
    if not callable(code.found):
        raise InputError(
            f"{code.name} is {type(code.found).__name__}; expected the class of a network, or a "
            "function that returns one"
        )
    named = _argument_for_classes(code)
    if missing := needs(code, without=(named,) if named else ()):
        shown = ", ".join(f"{one}=..." for one in missing)
        raise InputError(
            f"{code.name} needs {', '.join(missing)} to be called; write --arch "
            f"'{text.partition('(')[0]}({shown})', or name a function that needs nothing but the "
            "number of classes"
        )

    def call(classes: int | None) -> Any:
        return code.call(**({} if named is None or classes is None else {named: classes}))

    fixed = next((code.named[c] for c in CLASSES if isinstance(code.named.get(c), int)), None)
    return Factory(
        code.name, call, fixed, named is not None, named in needs(code), source=_source_digest(code)
    )


def _source_digest(code: OwnCode) -> str:
    """Return the SHA-256 of a factory's file, and of what it has imported from its folder."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    near = {Path(f) for f in files if f and code.folder and Path(f).is_relative_to(code.folder)}
    with contextlib.suppress(TypeError, OSError):
        found = code.found
        named = found if inspect.isroutine(found) or inspect.isclass(found) else type(found)
        near.add(Path(inspect.getfile(named)))
    h = hashlib.sha256()
    for file in sorted(near):
        with contextlib.suppress(OSError):
            h.update(file.name.encode() + file.read_bytes())
    return h.hexdigest()


def _argument_for_classes(code: OwnCode) -> str | None:
    """Return the argument that takes the number of classes; None: none, or it is given."""
    open_ = code.parameters
    if open_ is None:
        return "num_classes"
    if any(name in code.named for name in CLASSES):
        return None
    variadic = any(p.kind == inspect.Parameter.VAR_KEYWORD for p in open_.values())
    named = next((name for name in CLASSES if name in open_), None)
    return named or ("num_classes" if variadic else None)
