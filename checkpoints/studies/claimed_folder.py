"""What the folder of a study is of, as its ``study.json`` says, so that no two studies mix."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spectra.errors import InputError
from spectra.system.files.documents import read_json
from spectra.system.files.writing import to_json, write_json


def refuse_damaged(folder: Path, wrong: Sequence[str]) -> None:
    """Raise InputError where files of a study are damaged or gone, before it says that it is done.

    Args:
        folder: of the study.
        wrong: ``FILE is gone`` and the like.
    """
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InputError(
            f"{', '.join(wrong[:3])}{more}, since they were written; leave {folder} alone and give "
            "the same command again, which makes them anew"
        )


def claim_folder(folder: Path, description: Mapping[str, Any], *, other: str) -> None:
    """Write what a folder is of, or check that it is of the same.

    Args:
        folder: of the study.
        description: of the study, in plain values.
        other: what to say where the folder is of another.

    Raises:
        InputError: it is of another, or its ``study.json`` is damaged.
    """
    path = folder / "study.json"
    if not path.exists():
        write_json(path, description)
        return
    try:
        there = read_json(path, what="the description of a study")
        if not isinstance(there, Mapping):
            raise InputError(f"{path} holds no description of a study")
    except InputError as error:
        raise InputError(
            f"{error}; delete {path} and start again: what is finished in the folder is kept"
        ) from error
    if there != json.loads(to_json(description)):
        raise InputError(other)
