"""The state of a run after an epoch: what a repeated call of ``train_job`` goes on from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from checkpoints.formats.native import RESUME_KEY
from checkpoints.formats.safetensors_files import read_metadata_of, read_safetensors
from checkpoints.formats.sealed_headers import broken, sealed
from checkpoints.recipes.recipe import Recipe
from checkpoints.training.epochs_by_execution import ComputedEpochs
from checkpoints.training.evaluation import EpochMetrics
from spectra.errors import InputError
from spectra.results.plain import from_plain
from spectra.system.files.documents import parse_json
from spectra.system.files.writing import write_atomically


class DamagedStateError(InputError):
    """What a run would go on from cannot be read, or is not what was written."""


@dataclass(frozen=True)
class TrainingState:
    """Weights, momentum and history after ``epoch`` finished epochs.

    Attributes:
        epoch: epochs done.
        tensors: ``model.*`` and ``momentum.*``.
        history: the metrics of every epoch so far.
        computed: which epochs were computed how.
        kept: SHA-256 of each checkpoint that was kept, by its epoch; None: of a version that did
            not record it.
    """

    epoch: int
    tensors: dict[str, Tensor]
    history: list[dict[str, Any]]
    computed: tuple[ComputedEpochs, ...] = ()
    kept: Mapping[str, str] | None = None

    @classmethod
    def capture(
        cls,
        model: nn.Module,
        optimizer: torch.optim.SGD,
        epoch: int,
        history: list[dict[str, Any]],
        computed: tuple[ComputedEpochs, ...] = (),
        kept: Mapping[str, str] | None = None,
    ) -> "TrainingState":
        """Take the state of a run."""
        tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
        for name, parameter in model.named_parameters():
            buffer = optimizer.state[parameter].get("momentum_buffer")
            if buffer is not None:
                tensors[f"momentum.{name}"] = buffer
        return cls(epoch, host_copies(tensors), history, computed, kept)

    def restore(self, model: nn.Module, optimizer: torch.optim.SGD) -> None:
        """Put the state back; tensors are copied, so that their alignment is torch's own."""
        with torch.no_grad():
            for key, value in model.state_dict().items():
                value.copy_(self.tensors[f"model.{key}"])
        for name, parameter in model.named_parameters():
            buffer = self.tensors.get(f"momentum.{name}")
            if buffer is not None:
                restored = torch.empty_like(parameter, requires_grad=False).copy_(buffer)
                optimizer.state[parameter]["momentum_buffer"] = restored


def host_copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous copies on the CPU, none of which shares memory with another.

    Safetensors refuses tensors that share memory, as tied weights do. From a GPU all tensors of a
    type come in one copy: one synchronisation, where every tensor would cost one.
    """
    found: dict[str, Tensor] = {}
    for dtype in dict.fromkeys(t.dtype for t in tensors.values()):
        alike = {key: t.detach() for key, t in tensors.items() if t.dtype == dtype}
        flat = torch.cat([t.reshape(-1) for t in alike.values()]).cpu()
        pieces = flat.split([t.numel() for t in alike.values()])
        for (key, t), piece in zip(alike.items(), pieces, strict=True):
            found[key] = piece.view(t.shape).clone()
    return {key: found[key] for key in tensors}


@dataclass(frozen=True)
class _Header:
    """What the header of a state holds, see :class:`TrainingState`; ``identity`` is of the run."""

    epoch: int
    history: list[dict[str, Any]]
    identity: dict[str, Any]
    computed: tuple[ComputedEpochs, ...] = ()
    kept: dict[str, str] | None = None


def save_state(path: Path, state: TrainingState, identity: dict[str, Any]) -> None:
    """Write the state atomically, with the identity of the run it belongs to."""
    header = {
        "epoch": state.epoch,
        "history": state.history,
        "identity": identity,
        "computed": [entry.to_dict() for entry in state.computed],
        "kept": state.kept,
    }
    text = sealed(header, state.tensors)
    write_atomically(path, safetensors.torch.save(state.tensors, {RESUME_KEY: text}))


def load_state(
    path: Path, *, expected: dict[str, Any], other_execution: bool = False
) -> TrainingState:
    """Read what :func:`save_state` wrote.

    Args:
        path: of the state.
        expected: identity of the run that goes on.
        other_execution: whether its execution may be another one.

    Raises:
        DamagedStateError: the file cannot be read, or its content is not that of its digest.
        InputError: it belongs to a run with another identity.
    """
    text = _text(path)
    header = _header(path)
    try:
        tensors = read_safetensors(path).tensors
        if broken(text, tensors):
            raise ValueError("its content is not that of its digest")
    except ValueError as error:
        raise _damaged(path, error) from error
    identity = _with_new_fields(header.identity)
    for key in expected:
        if key == "test_data" and key not in identity:  # of a version that did not record it
            continue
        if identity.get(key) != expected[key] and not (key == "execution" and other_execution):
            go_on = "add --other-execution to go on, " if key == "execution" else ""
            raise InputError(
                f"{path.parent} holds a run with another {key}; {go_on}choose another -o or remove "
                f"it (there: {_difference(identity.get(key), expected[key])})"
            )
    # A version that did not record it had one execution alone.
    computed = header.computed or (ComputedEpochs(1, identity.get("execution"), None),)
    return TrainingState(header.epoch, tensors, header.history, computed, header.kept)


def before_switch(identity: dict[str, Any]) -> dict[str, Any]:
    """Return what decides a run until DRW sets in: all but the recipe's name and weighting."""
    recipe = {k: v for k, v in identity["recipe"].items() if k not in ("name", "weighting")}
    # No run with a start shares. Files from before there were starts and choices of execution keep
    # their names.
    kept = {k: v for k, v in identity.items() if k not in ("start", "execution")}
    if identity.get("execution") is not None:
        kept["execution"] = identity["execution"]
    return {**kept, "recipe": recipe}


def shared_path(folder: Path, identity: dict[str, Any]) -> Path:
    """Return where ``folder`` keeps the state at the switch of runs that are one until then."""
    text = json.dumps(before_switch(identity), sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors"


def load_history(path: Path) -> list[EpochMetrics]:
    """Return the metrics of each finished epoch from what :func:`save_state` wrote.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return [EpochMetrics.from_dict(epoch) for epoch in _header(path).history]
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error


def _with_new_fields(identity: dict[str, Any]) -> dict[str, Any]:
    """Give fields that recipes have gained since the run began their defaults: what it ran with."""
    try:
        return {**identity, "recipe": Recipe.from_dict(identity["recipe"]).to_dict()}
    except (KeyError, TypeError, InputError):
        return identity  # not a recipe of ours: the comparison says so


def _header(path: Path) -> _Header:
    try:
        plain = parse_json(_text(path), origin=str(path), what="the state of a run")
        header = from_plain(plain, _Header, origin="its header")
        if header.epoch < 0:
            raise ValueError(f"its header: epoch: expected a number from 0, got {header.epoch}")
    except (ValueError, TypeError) as error:
        raise _damaged(path, error) from error
    return header


def _text(path: Path) -> str:
    try:
        return read_metadata_of(path)[RESUME_KEY]
    except (KeyError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> "DamagedStateError":
    told = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
    return DamagedStateError(f"cannot resume from {path}: {told}; remove it to start anew")


def _difference(old: Any, new: Any) -> str:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return f"{old}, here: {new}"
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return ", ".join(f"{k} {old.get(k)}, here: {new.get(k)}" for k in keys[:3])
