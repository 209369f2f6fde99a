"""Code of the user's own, imported by name: ``module:NAME`` or ``FOLDER/FILE.py:NAME``.

It is imported only because somebody names it, on the command line or in a call. A name that a
file holds is never imported: it is a hint of what to type.
"""

import ast
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from spectra.errors import InputError


class NoSuchCodeError(InputError):
    """There is no module or file of the name that somebody gave."""


FORM = "expected module:NAME or FOLDER/FILE.py:NAME"
_OURS = ("spectra", "checkpoints", "figures", "cli")


@dataclass(frozen=True)
class OwnCode:
    """What the user named, imported.

    Attributes:
        name: as it is recorded and spoken of, without folders.
        found: the object.
        positional: the arguments in brackets that have no name.
        named: those that have one.
        folder: where its own imports are looked for; None: it is installed.
    """

    name: str
    found: Any
    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    folder: Path | None

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter] | None:
        """Its parameters that are not given in brackets; None: Python cannot tell."""
        try:
            all_ = list(inspect.signature(self.found).parameters.values())
        except (TypeError, ValueError):
            return None
        return {p.name: p for p in all_[len(self.positional) :] if p.name not in self.named}

    def call(self, **arguments: Any) -> Any:
        """Call it with the arguments in brackets and these.

        Raises:
            InputError: it fails, with the file and line of its code.
        """
        with importing_from(self.folder), in_one_line(f"{self.name} failed"):
            return self.found(*self.positional, **{**self.named, **arguments})


def needs(code: OwnCode, without: Sequence[str] = ()) -> list[str]:
    """Return the parameters that have no default, were not given and are not in ``without``."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        p.name
        for p in (code.parameters or {}).values()
        if p.default is p.empty and p.kind not in variadic and p.name not in without
    ]


def import_own(text: str, folders: Sequence[Path] = ()) -> OwnCode:
    """Import what ``text`` names, a network or data.

    Looked for are the current folder, installed modules, and then ``folders``.

    Args:
        text: ``module:NAME`` or ``FOLDER/FILE.py:NAME``, with arguments where it needs some:
            ``net.py:Net(width=32)``.
        folders: such as the checkpoint's.

    Raises:
        InputError: there is no such thing, or it cannot be imported; an error of its code is told
            with file and line.
    """
    place, _, rest = text.partition(":")
    names, named, positional = read_arguments(rest, text)
    if not place or not all(part.isidentifier() for part in names.split(".")):
        raise InputError(f"cannot read {text!r}; {FORM}")
    module, folder = _module(place, folders)
    found: Any = module
    for part in names.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            there = ", ".join(_offered(module)) or "nothing"
            raise InputError(f"{place} has no {names}; it has {there}") from None
    return OwnCode(recorded_name(text), found, positional, named, folder)


def recorded_name(text: str) -> str:
    """Return how a factory is recorded, without folders: ``net:Net`` of ``folder/net.py:Net``."""
    place, colon, rest = text.partition(":")
    if place == "hf":
        return place + colon + Path(rest).name
    return (Path(place).stem if place.endswith(".py") else place) + colon + rest


@contextmanager
def importing_from(folder: Path | None) -> Iterator[None]:
    """Let Python look for modules in ``folder`` first, as it does for a script that lies there.

    What the code prints goes to standard error, so that results on standard output stay whole.
    """
    if folder is None:
        with redirect_stdout(sys.stderr):
            yield
        return
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = before
        for name in [n for n in sys.modules if n.partition(".")[0] in _OURS]:
            # A file of the user's that is called as one of our packages must not stand in for it.
            if _lies_in(sys.modules[name], folder) and not _lies_in(sys.modules[name], _root()):
                del sys.modules[name]


def error_in_one_line(error: BaseException) -> str:
    """Return ``net.py:12: TypeError: ...``: where the user's code failed, and the first line."""
    told = str(error).strip().partition("\n")[0] or "no reason given"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename[:1] != "<"]
    own = [f for f in frames if not _is_library(f.filename)]
    place = f"{own[-1].filename}:{own[-1].lineno}: " if own else ""
    return f"{place}{type(error).__name__}: {told[:300]}"


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """Turn whatever the user's code raises into an InputError that says where it did."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{what}: {error_in_one_line(error)}") from error


def _module(place: str, folders: Sequence[Path]) -> tuple[ModuleType, Path | None]:
    """Import the module that ``place`` names; the second is the folder of its own imports."""
    if place.endswith(".py") or "/" in place or "\\" in place:
        file = _file(Path(place).expanduser(), folders)
        return _import_file(file, place)
    here = _in_folder(place, Path.cwd())
    if here is None and not _is_installed(place):
        found = (_in_folder(place, folder) for folder in folders)
        here = next((file for file in found if file is not None), None)
        if here is None:
            raise NoSuchCodeError(
                f"there is no module {place}: no {place.replace('.', '/')}.py in {Path.cwd()}"
                + "".join(f" or {folder}" for folder in folders if folder != Path.cwd())
                + ", and none is installed; name the file as FOLDER/FILE.py:NAME"
            )
    if here is not None:
        return _import_file(here, place)
    with importing_from(None), in_one_line(f"{place} cannot be imported"):
        return importlib.import_module(place), None


def _file(path: Path, folders: Sequence[Path]) -> Path:
    for candidate in (path, *(folder / path for folder in folders if not path.is_absolute())):
        if candidate.is_file():
            return candidate.resolve()
    raise NoSuchCodeError(f"there is no file {path}; {FORM}")


def _in_folder(module: str, folder: Path) -> Path | None:
    stem = folder.joinpath(*module.split("."))
    candidates = (stem.with_name(stem.name + ".py"), stem / "__init__.py")
    return next((file.resolve() for file in candidates if file.is_file()), None)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _import_file(file: Path, place: str) -> tuple[ModuleType, Path]:
    """Import a file by its own name if that is free, else by another that shadows nothing."""
    folder = file.parent if file.name != "__init__.py" else file.parent.parent
    parts = [file.stem] if file.name != "__init__.py" else [file.parent.name]
    while (folder / "__init__.py").is_file():  # relative imports need the package's name
        parts.insert(0, folder.name)
        folder = folder.parent
    name = ".".join(parts)
    with importing_from(folder), in_one_line(f"{place} cannot be imported"):
        if _is_free(name, folder) and all(part.isidentifier() for part in parts):
            return importlib.import_module(name), folder
        unlike = f"{file.stem}_named_by_the_user"
        spec = importlib.util.spec_from_file_location(unlike, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[unlike] = module  # dataclasses and pickles look their module up
        spec.loader.exec_module(module)
        return module, folder


def _is_free(name: str, folder: Path) -> bool:
    """Say whether a module may go by ``name``: not ours, not Python's, and no other file's."""
    top = name.partition(".")[0]
    if top in _OURS or top in sys.stdlib_module_names:
        return False
    known = [sys.modules[n] for n in (top, name) if n in sys.modules]
    return all(_lies_in(module, folder) for module in known)


def _lies_in(module: ModuleType, folder: Path) -> bool:
    places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
    return any(p and Path(p).resolve().is_relative_to(folder.resolve()) for p in places)


def _root() -> Path:
    return Path(__file__).parents[1]


def _is_library(filename: str) -> bool:
    parts = Path(filename).parts
    ours = Path(filename).is_relative_to(_root()) and parts[len(_root().parts)] in _OURS
    return ours or any(p in ("site-packages", "dist-packages") or p.startswith("python3")
                       for p in parts)  # fmt: skip


def read_arguments(call: str, text: str) -> tuple[str, dict[str, Any], tuple[Any, ...]]:
    """Split ``Net(width=32)`` into the name and its arguments: numbers, text, lists.

    Nothing is evaluated.

    Args:
        call: the name, with arguments in brackets or without.
        text: what the user wrote, for messages.

    Raises:
        InputError: it reads otherwise.
    """
    name, bracket, _ = call.strip().partition("(")
    if not bracket:
        return name, {}, ()
    try:
        tree = ast.parse(call.strip(), mode="eval").body
        if not isinstance(tree, ast.Call):
            raise ValueError(call)
        named = {str(k.arg): ast.literal_eval(k.value) for k in tree.keywords}
        return name.strip(), named, tuple(ast.literal_eval(a) for a in tree.args)
    except (SyntaxError, ValueError):
        raise InputError(
            f"cannot read the arguments of {text!r}; expected numbers, text or lists by name, such "
            "as net.py:Net(width=32)"
        ) from None


def _offered(module: ModuleType) -> list[str]:
    """Return the first classes and functions that a module defines itself."""
    return [
        key
        for key, value in vars(module).items()
        if callable(value)
        and not key.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ][:6]
