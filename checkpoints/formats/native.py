"""Our own checkpoint file: safetensors, with everything else as JSON in its header."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from checkpoints.checkpoint import Checkpoint
from checkpoints.data.dataset import Normalisation
from checkpoints.models import Architecture
from checkpoints.recipes import Recipe
from spectra.errors import InputError
from spectra.files import write_atomically

SCHEMA = 1
HEADER_KEY = "spectra"


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


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a native checkpoint without reading its weights.

    Raises:
        InputError: as for :func:`load_native`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"cannot read {path} as safetensors: {error}") from error
    if HEADER_KEY not in header:
        raise InputError(
            f"{path} is safetensors without spectra's metadata; bring it in with "
            "'spectra checkpoints import'"
        )
    try:
        metadata = json.loads(header[HEADER_KEY])
        schema = int(metadata["schema"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: metadata is not what spectra writes: {error!r}") from error
    if schema > SCHEMA:
        raise InputError(
            f"{path} has schema {schema}, this version reads up to {SCHEMA}; update hessian-spectra"
        )
    return dict(metadata)


def _from_metadata(metadata: dict[str, Any], state: dict[str, Any]) -> Checkpoint:
    def optional(key: str) -> Any:
        return metadata.get(key)

    return Checkpoint(
        name=str(metadata["name"]),
        state=state,
        architecture=Architecture(**metadata["architecture"]),
        normalisation=Normalisation.from_dict(metadata["normalisation"])
        if optional("normalisation")
        else None,
        epoch=optional("epoch"),
        recipe=Recipe.from_dict(metadata["recipe"]) if optional("recipe") else None,
        class_counts=tuple(metadata["class_counts"]) if optional("class_counts") else None,
        data=optional("data"),
        metrics=optional("metrics") or {},
        seed=optional("seed"),
        versions=optional("versions") or {},
        notes=tuple(optional("notes") or ()),
    )
