"""Our own checkpoint file: safetensors, with everything else as JSON in its header."""

import hashlib
import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from checkpoints.checkpoint import Checkpoint
from checkpoints.data.dataset import Normalisation
from checkpoints.formats.safetensors_files import read_metadata_of, read_safetensors
from checkpoints.formats.sealed_headers import broken, lost_its_name, sealed
from checkpoints.models import Architecture
from checkpoints.recipes.recipe import Recipe
from spectra.errors import InputError
from spectra.results.plain import from_plain
from spectra.system.files.documents import parse_json
from spectra.system.files.writing import write_atomically

SCHEMA = 1
HEADER_KEY = "spectra"
RESUME_KEY = "spectra-resume"
# As runs name what they keep; nine digits, for more are no epoch.
_NAMED_EPOCH = re.compile(r"epoch-([0-9]{1,9})\.safetensors")


@dataclass(frozen=True)
class _Metadata:
    """What the header holds beside the schema, see :class:`checkpoints.Checkpoint`.

    What recipes, data and metrics say of themselves is kept as it came: it grows with them.
    """

    name: str
    architecture: Architecture
    normalisation: Normalisation | None = None
    epoch: int | None = None
    recipe: dict[str, Any] | None = None
    class_counts: tuple[int, ...] | None = None
    data: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None
    seed: int | None = None
    versions: dict[str, str] | None = None
    notes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Tested:
    """What is read of the metrics on test images."""

    overall: float | None = None


@dataclass(frozen=True)
class _Metrics:
    """What is read of the metrics."""

    train_loss: float | None = None
    test: _Tested | None = None


def save_native(path: Path, checkpoint: Checkpoint) -> str:
    """Write a checkpoint atomically: safetensors, metadata under the header key ``spectra``.

    Returns:
        The SHA-256 of the file.
    """
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
    json.dumps(metadata, allow_nan=False)  # which no reader of strict JSON would take
    content = safetensors.torch.save(tensors, {HEADER_KEY: sealed(metadata, tensors)})
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def load_native(path: Path) -> Checkpoint:
    """Read a file of :func:`save_native`.

    Raises:
        InputError: not a safetensors file, truncated, not written by this toolkit, its content not
            that of its digest, of another epoch than its name says, or a value does not fit:
            ``FILE: class_counts[2]: expected an integer, got 'x'``.
    """
    plain = read_metadata(path)
    known = from_plain(plain, _Metadata, origin=str(path))
    later = set(plain["architecture"]) - {field.name for field in fields(Architecture)}
    if later:
        raise InputError(
            f"{path}: architecture.{min(later)} is not known to this version; update "
            "hessian-spectra"
        )
    found = read_safetensors(path)
    try:
        _check_epoch(path, known.epoch)
        checkpoint = _checkpoint(known, found.tensors)
        if broken(found.metadata[HEADER_KEY], found.tensors):
            raise InputError(
                "damaged, its content is not that of its digest; copy it again, or remove it and "
                "train again"
            )
        return checkpoint
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def is_native(path: Path) -> bool:
    """Say whether a safetensors file carries metadata of ours.

    Raises:
        InputError: not a safetensors file, or a damaged one of ours.
    """
    header = read_metadata_of(path)
    if lost_its_name(header, HEADER_KEY) and RESUME_KEY not in header:
        raise InputError(f"{path} is damaged: its metadata have lost their name; copy it again")
    return HEADER_KEY in header


def read_plain(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a stranger's safetensors file.

    Raises:
        InputError: not a safetensors file, truncated, or the state of an unfinished run.
    """
    found = read_safetensors(path)
    if RESUME_KEY in found.metadata:
        raise InputError(f"{path} is the state of a run, no checkpoint; name the run's folder")
    return found.tensors


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a native checkpoint without reading its weights.

    Raises:
        InputError: as for :func:`load_native`.
    """
    header = read_metadata_of(path)
    if HEADER_KEY not in header:
        raise InputError(
            f"{path} is safetensors without spectra's metadata; bring it in with "
            "'spectra checkpoints import'"
        )
    metadata = parse_json(header[HEADER_KEY], origin=str(path), what="metadata of spectra")
    schema = metadata.get("schema") if isinstance(metadata, dict) else None
    if isinstance(schema, bool) or not isinstance(schema, int):
        raise InputError(
            f"{path}: metadata is not what spectra writes: schema should be an integer, got "
            f"{str(schema)[:40]!r}"
        )
    if schema > SCHEMA:
        raise InputError(
            f"{path} has schema {schema}, this version reads up to {SCHEMA}; update hessian-spectra"
        )
    return metadata


def _check_epoch(path: Path, recorded: int | None) -> None:
    """Hold the epoch of the metadata against the one in a file's name, if it is named as ours are.

    Raises:
        InputError: they are two.
    """
    named = _NAMED_EPOCH.fullmatch(path.name)
    if named and recorded is not None and int(named[1]) != recorded:
        raise InputError(
            f"epoch: expected {int(named[1])}, as the file is named, got {recorded}; it was "
            f"renamed, or copied over another: name it epoch-{recorded:04d}.safetensors again"
        )


def _checkpoint(known: _Metadata, state: dict[str, Tensor]) -> Checkpoint:
    """Return the checkpoint.

    Raises:
        InputError: what the metadata say does not fit together.
    """
    counts, classes = known.class_counts, known.architecture.num_classes
    if counts and (len(counts) != classes or min(counts) < 0):
        raise InputError(
            f"class_counts should be {classes} numbers of images, one a class, got "
            f"{str(list(counts))[:80]}"
        )
    from_plain(known.metrics or {}, _Metrics, origin="metrics")
    if known.data and not isinstance(known.data.get("source"), str):
        raise InputError(f"data should name its source, got {known.data.get('source')!r}")
    return Checkpoint(
        name=known.name,
        state=state,
        architecture=known.architecture,
        normalisation=known.normalisation,
        epoch=known.epoch,
        recipe=_recipe(known.recipe) if known.recipe else None,
        class_counts=counts or None,
        data=known.data or None,
        metrics=known.metrics or {},
        seed=known.seed,
        versions=known.versions or {},
        notes=known.notes or (),
    )


def _recipe(plain: dict[str, Any]) -> Recipe:
    if not isinstance(plain.get("name"), str):
        raise InputError(f"recipe.name: expected text, got {plain.get('name')!r}")
    try:
        return Recipe.from_dict(plain)
    except (InputError, TypeError) as error:
        raise InputError(f"recipe: {error}") from error
