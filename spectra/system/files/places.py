"""Where files may be written: below one folder, and through no link."""

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from spectra.errors import InputError

# The folders that may be written to: of each block that is under way, the last one counts.
_ROOTS: ContextVar[tuple[Path, ...]] = ContextVar("roots", default=())


@contextlib.contextmanager
def writing_under(folder: Path) -> Iterator[None]:
    """Refuse, while the block runs, to write anywhere but in ``folder``.

    The folder itself is the caller's choice, and may be a link; nothing below it may. Inside
    another such block a folder below that block's changes nothing: the outer one stays the root.
    """
    roots = _ROOTS.get()
    root = next((outer for outer in roots if _below(folder, outer) is not None), folder)
    token = _ROOTS.set((*roots, root))
    try:
        yield
    finally:
        _ROOTS.reset(token)


def refuse_elsewhere(path: Path) -> None:
    """Raise InputError where writing to ``path`` would write elsewhere.

    That is outside the folder of :func:`writing_under`, or, where there is none, of the file's own;
    through a link below that folder; or into something that is no regular file, such as a device.

    Raises:
        InputError: names what is in the way.
    """
    root = (_ROOTS.get() or (path.parent,))[-1]
    parts = _below(path, root)
    if not parts:
        raise InputError(f"{path} lies outside of {root}, and nothing is written there")
    place = root
    for part in parts:
        place /= part
        if place.is_symlink():
            raise InputError(
                f"{place} is a link, and nothing is written through links; remove it, or choose "
                "another -o"
            )
        if place != root.joinpath(*parts) and place.exists() and not place.is_dir():
            raise InputError(
                f"{place} is no folder, and one is to be there; remove it, or choose another -o"
            )
    # What else leads away, such as a junction of Windows.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise InputError(f"{path} leads out of {root}, and nothing is written there")
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise InputError(
            f"{path} is {kind}, and a file is to be written there; remove it, or choose another -o"
        )


def _below(path: Path, root: Path) -> tuple[str, ...] | None:
    """Return the parts of ``path`` after ``root``; None: it does not lie there."""
    if path.is_relative_to(root):
        parts = path.relative_to(root).parts
        return None if ".." in parts else parts
    whole, above = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    if ".." in path.parts or not whole.is_relative_to(above):
        return None
    return whole.relative_to(above).parts
