"""Folders as ``save_pretrained`` writes them: weights, in one file or in shards, of what."""

import os
from pathlib import Path
from typing import Any

from torch import Tensor

from checkpoints.data.dataset import Normalisation
from checkpoints.formats.contents import find_weights
from checkpoints.formats.native import read_plain
from checkpoints.formats.torch_files import read_torch, refuse_what_is_no_checkpoint
from spectra.errors import InputError
from spectra.system.files import documents
from spectra.system.foreign_text import short_name

CONFIGURATION, PREPROCESSOR = "config.json", "preprocessor_config.json"
_FILES = ("model.safetensors", "pytorch_model.bin")
_INDEX = ".index.json"
_LONGEST_NAME = 255  # bytes: what file systems take, and they answer longer ones by an error


def is_folder_of_weights(path: Path) -> bool:
    """Say whether a folder is laid out as ``save_pretrained`` does it."""
    return path.is_dir() and any(
        (path / name).is_file() for file in _FILES for name in (file, file + _INDEX)
    )


def read_folder(path: Path) -> dict[str, Tensor]:
    """Return the weights of a folder: of its one file, or of all shards that its index names.

    Raises:
        InputError: there are none, a shard is missing or damaged, or the index names a file
            elsewhere.
    """
    for name in _FILES:
        if (path / name).is_file():
            return _weights(path / name)
        if (path / (name + _INDEX)).is_file():
            return _shards(path, path / (name + _INDEX))
    raise InputError(
        f"expected a checkpoint file or a folder with {' or '.join(_FILES)}, got the folder "
        f"{path}; name a file in it"
    )


def library_named_in(path: Path) -> str | None:
    """Return the architecture that a folder's configuration names, as ``--arch`` takes it.

    That is a network of an installed library, never code of the folder.
    """
    if not is_folder_of_weights(path) or not (path / CONFIGURATION).is_file():
        return None
    known = read_json(path / CONFIGURATION)
    if isinstance(known.get("architecture"), str):
        arguments = known.get("model_args") or {}
        if not isinstance(arguments, dict):
            raise InputError(f"{path / CONFIGURATION}: model_args should be an object of arguments")
        classes = known.get("num_classes")
        if isinstance(classes, int):
            arguments = {"num_classes": classes, **arguments}
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        return f"timm:{known['architecture']}" + (f"({given})" if given else "")
    return f"hf:{path}"


def normalisation_in(path: Path) -> Normalisation | None:
    """Return what a folder says that images go through; None: it does not say.

    transformers keeps it in ``preprocessor_config.json``, timm in ``config.json``.

    Raises:
        InputError: the numbers are none, or do not belong together.
    """
    if not path.is_dir():
        return None
    known: Any
    if (path / PREPROCESSOR).is_file():
        known, mean, std = read_json(path / PREPROCESSOR), "image_mean", "image_std"
        if known.get("do_normalize") is False:
            return None
    elif (path / CONFIGURATION).is_file():
        known, mean, std = read_json(path / CONFIGURATION).get("pretrained_cfg"), "mean", "std"
    else:
        return None
    if not isinstance(known, dict) or known.get(mean) is None or known.get(std) is None:
        return None
    try:
        means, stds = (tuple(float(x) for x in known[key]) for key in (mean, std))
        scale = round(1 / float(known.get("rescale_factor", 1 / 255)), 6)
        if not means or len(means) != len(stds):
            raise ValueError("one mean and one deviation a channel")
        return Normalisation("as published", means, stds, scale)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"{path}: expected means and positive deviations of pixels, one a channel, got "
            f"{str(known.get(mean))[:60]} and {str(known.get(std))[:60]}"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        InputError: it holds none.
    """
    refuse_what_is_no_checkpoint(path)
    found = documents.read_json(path, what="JSON")
    if not isinstance(found, dict):
        raise InputError(f"{path} should hold an object, got {type(found).__name__}")
    return found


def _shards(folder: Path, index: Path) -> dict[str, Tensor]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise InputError(f"{index} should name the file of every weight under weight_map")
    for key, name in places.items():
        if not isinstance(name, str):
            raise InputError(
                f"{index} should name a file for {short_name(key)}, got {type(name).__name__}"
            )
    files = sorted(set(places.values()))
    state: dict[str, Tensor] = {}
    for name in files:
        if Path(name).name != name or len(os.fsencode(name)) > _LONGEST_NAME:
            raise InputError(f"{index} names {short_name(name)}, which is no file of its folder")
        if not (folder / name).is_file():
            raise InputError(
                f"{folder} lacks {name}, one of the {len(files)} files that {index.name} names; "
                "download or copy it as well"
            )
        state |= _weights(folder / name)
    missing = sorted(set(places) - set(state))
    if missing:
        raise InputError(
            f"{folder} lacks {len(missing)} weights that {index.name} names, {missing[0]} first; "
            "download or copy it again"
        )
    return state


def _weights(file: Path) -> dict[str, Tensor]:
    refuse_what_is_no_checkpoint(file)
    if file.suffix == ".safetensors":
        content: Any = read_plain(file)
    else:
        content = read_torch(file)
    return dict(find_weights(file, content).places[0].state)
