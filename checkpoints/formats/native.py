"""Our own checkpoint file: safetensors, with everything else as JSON in its header."""

import json
import math
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from checkpoints.checkpoint import Checkpoint
from checkpoints.data.dataset import Normalisation
from checkpoints.models import Architecture
from checkpoints.recipes.recipe import Recipe
from spectra.errors import InputError
from spectra.system.files import write_atomically

SCHEMA = 1
HEADER_KEY = "spectra"
RESUME_KEY = "spectra-resume"
_KINDS: dict[str, tuple[type, str]] = {
    "epoch": (int, "an integer"),
    "class_counts": (list, "a list"),
    "data": (dict, "an object"),
    "metrics": (dict, "an object"),
    "seed": (int, "an integer"),
    "versions": (dict, "an object"),
    "notes": (list, "a list"),
}


def save_native(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically: safetensors, metadata under the header key ``spectra``."""
    metadata = {
        "schema": SCHEMA,
        "name": checkpoint.name,
        "architecture": checkpoint.architecture.to_dict(),
        "normalisation": checkpoint.normalisation and checkpoint.normalisation.to_dict(),
        "epoch": checkpoint.epoch,
        "recipe": checkpoint.recipe and checkpoint.recipe.to_dict(),
        "class_counts": checkpoint.class_counts and list(checkpoint.class_counts),
        "data": checkpoint.data and dict(checkpoint.data),
        "metrics": dict(checkpoint.metrics),
        "seed": checkpoint.seed,
        "versions": dict(checkpoint.versions),
        "notes": list(checkpoint.notes),
    }
    # Clones: safetensors refuses tensors that share memory (tied weights).
    tensors = {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, value in checkpoint.state.items()
    }
    header = {HEADER_KEY: json.dumps(metadata, allow_nan=False)}
    write_atomically(path, safetensors.torch.save(tensors, header))


def load_native(path: Path) -> Checkpoint:
    """Read a file of :func:`save_native`.

    Raises:
        InputError: not a safetensors file, truncated, or not written by this toolkit.
    """
    metadata = read_metadata(path)
    try:
        return _from_metadata(metadata, safetensors.torch.load(path.read_bytes()))
    except SafetensorError as error:
        raise InputError(f"{path} is damaged or truncated: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        said = str(error) if isinstance(error, InputError) else repr(error)
        raise InputError(f"{path}: metadata is incomplete or malformed: {said}") from error


def is_native(path: Path) -> bool:
    """Say whether a safetensors file carries metadata of ours.

    Raises:
        InputError: not a safetensors file.
    """
    return HEADER_KEY in _header(path)


def read_plain(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a stranger's safetensors file.

    Raises:
        InputError: not a safetensors file, truncated, or the state of an unfinished run.
    """
    if RESUME_KEY in _header(path):
        raise InputError(f"{path} is the state of a run, no checkpoint; name the run's folder")
    try:
        return safetensors.torch.load(path.read_bytes())
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged or truncated: {error}") from error


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a native checkpoint without reading its weights.

    Raises:
        InputError: as for :func:`load_native`.
    """
    header = _header(path)
    if HEADER_KEY not in header:
        raise InputError(
            f"{path} is safetensors without spectra's metadata; bring it in with "
            "'spectra checkpoints import'"
        )
    try:
        metadata = json.loads(header[HEADER_KEY])
        schema = int(metadata["schema"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: metadata is not what spectra writes: {error!r}") from error
    if schema > SCHEMA:
        raise InputError(
            f"{path} has schema {schema}, this version reads up to {SCHEMA}; update hessian-spectra"
        )
    return dict(metadata)


def _header(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"cannot read {path} as safetensors: {error}") from error


def _from_metadata(metadata: dict[str, Any], state: dict[str, Any]) -> Checkpoint:
    def optional(key: str) -> Any:
        value, (kind, what) = metadata.get(key), _KINDS.get(key, (object, ""))
        if value is not None and not isinstance(value, kind):
            raise InputError(f"{key} should be {what}, got {value!r}")
        return value

    architecture = Architecture(**metadata["architecture"])
    counts = optional("class_counts")
    if counts and (
        len(counts) != architecture.num_classes
        or not all(isinstance(n, int) and n >= 0 for n in counts)
    ):
        raise InputError(
            f"class_counts should be {architecture.num_classes} numbers of images, one a class, "
            f"got {str(counts)[:80]}"
        )
    data = optional("data")
    if data and not isinstance(data.get("source"), str):
        raise InputError(f"data should name its source, got {data.get('source')!r}")
    return Checkpoint(
        name=str(metadata["name"]),
        state=state,
        architecture=architecture,
        normalisation=_normalisation(optional("normalisation")),
        epoch=optional("epoch"),
        recipe=Recipe.from_dict(metadata["recipe"]) if optional("recipe") else None,
        class_counts=tuple(counts) if counts else None,
        data=data or None,
        metrics=optional("metrics") or {},
        seed=optional("seed"),
        versions=optional("versions") or {},
        notes=tuple(optional("notes") or ()),
    )


def _normalisation(fields: Any) -> Normalisation | None:
    if not fields:
        return None
    found = Normalisation.from_dict(fields)
    positive = (*found.std, found.scale)
    if not all(map(math.isfinite, (*found.mean, *positive))) or min(positive) <= 0:
        raise InputError(
            "normalisation should have finite means and positive deviations and scale, got "
            f"{found.mean}, {found.std} and {found.scale}"
        )
    return found
