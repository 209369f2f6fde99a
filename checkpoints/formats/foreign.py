"""Strangers' checkpoints: ``.pth .pt .th .pth.tar`` files of other code bases."""

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from checkpoints.checkpoint import Checkpoint
from checkpoints.data.dataset import Normalisation
from checkpoints.formats.recognise import (
    infer_architecture,
    rename_keys,
    strip_wrappers,
    user_architecture,
)
from checkpoints.formats.reference import read_names
from spectra.errors import InputError

SUFFIXES = (".pth.tar", ".pth", ".pt", ".th", ".tar")
STATE_KEYS = ("state_dict", "model_state_dict", "model", "net")
METRIC_KEYS = ("best_acc1", "best_prec1", "best_acc", "acc")

# The published SAM code keeps numpy scalars beside the weights. They hold numbers and call nothing.
_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
_SCALAR: Any = np.float16(0).__reduce__()[0]
_ADMITTED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    np.dtype,
    *[type(np.dtype(code)) for code in _NUMBERS],
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
]


def load_foreign(
    path: Path,
    *,
    arch: str | None = None,
    num_classes: int | None = None,
    head: str | None = None,
    shortcut: str | None = None,
    normalisation: Normalisation | None = None,
    in_channels: int | None = None,
    image_size: int | None = None,
) -> Checkpoint:
    """Read weights that another code base wrote, and infer what they are weights of.

    Understood are a bare state dict, and one under ``state_dict``, ``model_state_dict``, ``model``
    or ``net``; in torch's zip format or the older one; with the prefixes of DataParallel and
    torch.compile. Nothing in the file is executed. Every option that is not None replaces what the
    file tells.

    Args:
        path: the file; its name and its folder's may tell the recipe.
        arch: one of ``ARCHITECTURES``, or ``module:factory``, whose keys are left as they are.
        num_classes: outputs.
        head: ``linear`` or ``cosine``.
        shortcut: ``A`` or ``B``.
        normalisation: what the images went through in training.
        in_channels: channels of the images.
        image_size: height = width of the images in pixels.

    Raises:
        InputError: the file is damaged, holds more than tensors and plain values, or its
            architecture cannot be inferred.
    """
    found = _find_state(path, _read(path))
    state = strip_wrappers(found.state)
    options: dict[str, Any] = {
        "num_classes": num_classes,
        "head": head,
        "shortcut": shortcut,
        "in_channels": in_channels,
        "image_size": image_size,
    }
    try:
        if arch is not None and ":" in arch:
            architecture = user_architecture(state, arch, **options)
        else:
            state = rename_keys(state)
            architecture = infer_architecture(state, arch=arch, **options)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    names = read_names(
        path.absolute().parent.name,
        path.name,
        head=architecture.head,
        num_classes=architecture.num_classes,
    )
    notes = [*found.notes, *names.notes]
    normalisation = normalisation or names.normalisation
    if normalisation is None:
        notes.append(
            "the file does not tell how images were normalised: the data's default is used unless "
            "--normalisation says otherwise"
        )
    stem = next((path.name.removesuffix(s) for s in SUFFIXES if path.name.endswith(s)), path.name)
    return Checkpoint(
        name=f"{names.label}_{stem}" if names.label else stem,
        state=state,
        architecture=architecture,
        normalisation=normalisation,
        epoch=found.epoch,
        recipe=names.recipe,
        class_counts=names.class_counts,
        metrics=found.metrics,
        seed=names.seed,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Found:
    state: dict[str, Tensor]
    epoch: int | None
    metrics: dict[str, float]
    notes: tuple[str, ...]


def _read(path: Path) -> Any:
    if path.is_dir():
        raise InputError(f"expected a checkpoint file, got the folder {path}; name a file in it")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if size == 0:
        raise InputError(f"{path} is empty; download or copy it again")
    try:
        with torch.serialization.safe_globals(_ADMITTED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of is in the error, if it matters
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises nearly anything on a damaged file
        raise InputError(_unreadable(path, str(error))) from None


def _unreadable(path: Path, message: str) -> str:
    """Say in one line what torch says in many."""
    if match := re.search(
        r"(?:GLOBAL|global|class|function) ['\"]?([A-Za-z_][\w.]*\.\w+)", message
    ):
        return (
            f"{path} asks for {match[1]}, and only tensors and plain values are read from "
            "strangers' files; save model.state_dict() where the file comes from"
        )
    if "TorchScript" in message:
        return f"{path} is a TorchScript archive; save model.state_dict() where it comes from"
    told = message.rpartition("WeightsUnpickler error: ")[2].strip() or "no reason given"
    reason = re.split(r"\.\s|\n", told)[0]
    return (
        f"{path} is no readable checkpoint, or it was cut short ({reason[:120]}); expected a file "
        "that torch.save wrote, download or copy it again"
    )


def _find_state(path: Path, content: Any) -> _Found:
    if not isinstance(content, Mapping):
        raise InputError(
            f"{path} should hold a state dict, got {type(content).__name__}; save "
            "model.state_dict()"
        )
    key = next((k for k in STATE_KEYS if isinstance(content.get(k), Mapping)), None)
    inner: Mapping[Any, Any] = content if key is None else content[key]
    tensors = {str(k): v for k, v in inner.items() if isinstance(v, Tensor)}
    if not any(k.endswith("weight") for k in tensors):
        shown = ", ".join(sorted(map(str, inner))[:5]) or "nothing"
        raise InputError(
            f"{path} should hold weights, bare or under {', '.join(STATE_KEYS)}, got {shown}"
        )
    others = sorted(str(k) for k, v in inner.items() if not isinstance(v, Tensor))
    notes = []
    if key is None:
        others = [k for k in others if k not in ("epoch", *METRIC_KEYS)]
    if others:
        notes.append(f"ignored what is no tensor among the weights: {', '.join(others[:3])}")
    epoch = _number(content.get("epoch"))
    metrics = {k: _number(content.get(k)) for k in METRIC_KEYS}
    rho = _sam_radius(content.get("optimizer"))
    if rho is not None:
        notes.append(f"the optimizer state says that SAM's rho was {rho:g} when it was saved")
    return _Found(
        state={k: _plain(path, k, v) for k, v in tensors.items()},
        epoch=int(epoch) if epoch is not None and epoch.is_integer() and epoch >= 0 else None,
        metrics={k: v for k, v in metrics.items() if v is not None},
        notes=tuple(notes),
    )


def _plain(path: Path, key: str, value: Tensor) -> Tensor:
    """Return a dense tensor, half precision widened to float32."""
    if value.layout != torch.strided or value.is_quantized or value.is_complex():
        raise InputError(
            f"{path}: {key} should be a dense real tensor, got {value.dtype}, {value.layout}; "
            "save the network before it was quantised or pruned"
        )
    value = value.detach()
    if value.is_floating_point() and value.dtype not in (torch.float32, torch.float64):
        return value.float()
    return value


def _number(value: Any) -> float | None:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _sam_radius(optimizer: Any) -> float | None:
    groups = optimizer.get("param_groups") if isinstance(optimizer, Mapping) else None
    if not isinstance(groups, list) or not groups or not isinstance(groups[0], Mapping):
        return None
    return _number(groups[0].get("rho"))
