"""Where a stranger's file keeps its weights, and what it keeps beside them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectra.errors import InputError

STATE_KEYS = ("state_dict", "model_state_dict", "model", "net")
AVERAGE_KEYS = ("model_ema", "state_dict_ema", "ema_state_dict", "ema")
METRIC_KEYS = ("best_acc1", "best_prec1", "best_acc", "acc")
# Buffers that count: thop's operations and parameters, the networks in torch's AveragedModel.
COUNTERS = ("total_ops", "total_params", "n_averaged")
# Ours: {"model": {"state_dict": ...}} is seen, three levels are not; a pickle may hold itself.
_DEPTH = 3


@dataclass(frozen=True)
class Found:
    """What a file holds.

    Attributes:
        state: dense tensors on the CPU, under the keys of the file.
        epoch: epochs of training done.
        metrics: numbers under ``METRIC_KEYS``.
        notes: what was taken, and what was left aside.
    """

    state: dict[str, Tensor]
    epoch: int | None
    metrics: dict[str, float]
    notes: tuple[str, ...]


def find_state(path: Path, content: Any) -> Found:
    """Find the weights in what ``path`` holds: bare, under a usual key, or an average alone.

    Raises:
        InputError: there are none, or they are sparse, quantised or complex.
    """
    if not isinstance(content, Mapping):
        raise InputError(
            f"{path} should hold a state dict, got {type(content).__name__}; save "
            "model.state_dict()"
        )
    place = _place(content)
    if place is None:
        raise InputError(
            f"{path} should hold weights, bare or under {', '.join(STATE_KEYS)}, got "
            f"{_keys(content)}; save model.state_dict()"
        )
    inner, aside = content, list[str]()
    for key in place:
        aside += [str(k) for k, v in inner.items() if k != key and _holds_weights(v)]
        inner = inner[key]
    tensors = {str(k): v for k, v in inner.items() if isinstance(v, Tensor)}
    others = sorted(str(k) for k, v in inner.items() if not isinstance(v, Tensor))
    notes = []
    if aside or any(key in AVERAGE_KEYS for key in place):
        rest = f"; left aside: {', '.join(aside[:3])}" if aside else ", by its name an average"
        notes.append(f"took the weights under {'.'.join(place)}{rest}")
    if not place:
        others = [k for k in others if k not in ("epoch", *METRIC_KEYS)]
    if others:
        notes.append(f"ignored what is no tensor among the weights: {', '.join(others[:3])}")
    epoch = _number(content.get("epoch"))
    metrics = {k: _number(content.get(k)) for k in METRIC_KEYS}
    rho = _sam_radius(content.get("optimizer"))
    if rho is not None:
        notes.append(f"the optimizer state says that SAM's rho was {rho:g} when it was saved")
    return Found(
        state={
            k: _plain(path, k, v)
            for k, v in tensors.items()
            if k.rpartition(".")[2] not in COUNTERS
        },
        epoch=int(epoch) if epoch is not None and epoch.is_integer() and epoch >= 0 else None,
        metrics={k: v for k, v in metrics.items() if v is not None},
        notes=tuple(notes),
    )


def _place(content: Mapping[Any, Any], depth: int = _DEPTH) -> tuple[str, ...] | None:
    """Return the keys that lead to the weights, none where they are bare; None: nowhere."""

    def under(keys: tuple[str, ...]) -> tuple[str, ...] | None:
        for key in keys:
            inner = content.get(key)
            if depth and isinstance(inner, Mapping):
                below = _place(inner, depth - 1)
                if below is not None:
                    return key, *below
        return None

    found = under(STATE_KEYS)
    if found is None and any(
        isinstance(v, Tensor) and str(k).endswith("weight") for k, v in content.items()
    ):
        return ()
    return under(AVERAGE_KEYS) if found is None else found


def _holds_weights(value: Any) -> bool:
    return isinstance(value, Mapping) and _place(value) is not None


def _keys(content: Mapping[Any, Any]) -> str:
    """Name the first keys where weights were looked for, and those under which there is None."""
    inner = next((content[k] for k in STATE_KEYS if isinstance(content.get(k), Mapping)), content)
    names = [f"{k} = None" if v is None else str(k) for k, v in inner.items()]
    return ", ".join(sorted(names)[:5]) or "nothing"


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
