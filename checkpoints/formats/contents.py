"""Where a stranger's file keeps its weights, and what it keeps beside them."""

import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from checkpoints.checkpoint import MOST_EPOCHS
from checkpoints.formats.pickles.stand_ins import Array
from checkpoints.formats.pickles.tensors import OtherTensor
from spectra.errors import InputError
from spectra.system.files.limits import check_limit
from spectra.system.foreign_text import short_name

STATE_KEYS = (
    "state_dict", "model_state_dict", "model", "net", "network", "weights", "model_weights",
    "params", "state", "model_state", "module",
)  # fmt: skip
AVERAGE_KEYS = (
    "model_ema", "state_dict_ema", "ema_state_dict", "ema", "ema_state", "params_ema", "swa",
)  # fmt: skip
METRIC_KEYS = ("best_acc1", "best_prec1", "best_acc", "acc")
_AVERAGE = re.compile(r"ema|averag|teacher|target|momentum|swa|shadow", flags=re.IGNORECASE)
# Buffers that count: thop's operations and parameters, the networks in torch's AveragedModel.
COUNTERS = ("total_ops", "total_params", "n_averaged")
_NO_WEIGHTS = re.compile(r"optim|sched|scaler|rng|random|grad", flags=re.IGNORECASE)
_DEPTH = 5  # ours: {"model": {"state_dict": ...}} is two levels
_SHOWN = 3  # keys that notes name


@dataclass(frozen=True)
class Place:
    """Weights somewhere in a file.

    Attributes:
        keys: that lead to them; none where they are bare.
        state: dense tensors on the CPU, under the keys of the file.
        aside: keys beside the way that lead to other weights.
        ignored: keys among them that lead to no tensors.
        widened: types of less than 32 bits that the file has, such as ``bfloat16``.
    """

    keys: tuple[str, ...]
    state: Mapping[str, Tensor]
    aside: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    widened: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken, and what was left aside or ignored."""
        notes = []
        if self.aside or any(key in AVERAGE_KEYS for key in self.keys):
            rest = f"; left aside: {', '.join(self.aside[:_SHOWN])}" if self.aside else ""
            rest = rest or ", by its name an average"
            notes.append(f"took the weights under {'.'.join(self.keys) or 'no key'}{rest}")
        if self.ignored:
            notes.append(
                f"ignored what is no tensor among the weights: {', '.join(self.ignored[:3])}"
            )
        if self.widened:
            notes.append(
                f"the weights are stored in {', '.join(self.widened)}: they are held and computed "
                "with in float32, which has each of them exactly"
            )
        return tuple(notes)


@dataclass(frozen=True)
class Found:
    """What a file holds.

    Attributes:
        places: weights; those that are most likely meant come first.
        epoch: epochs of training done.
        metrics: numbers under ``METRIC_KEYS``.
        notes: what else it tells.
    """

    places: tuple[Place, ...]
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def is_average(key: str) -> bool:
    """Say whether weights under a key are, by its name, an average or another's teacher."""
    return _AVERAGE.search(key) is not None


def find_weights(path: Path, content: Any) -> Found:
    """Find the weights in what ``path`` holds: bare, or under keys inside keys.

    Raises:
        InputError: there are none, or they are sparse, quantised or complex.
    """
    parts = content
    if isinstance(content, list | tuple):
        parts = {str(number): part for number, part in enumerate(content)}
    try:
        places = list(_places(parts, _Count())) if isinstance(parts, Mapping) else []
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not places and not isinstance(content, Mapping):
        raise InputError(
            f"{path} should hold a state dict, got {type(content).__name__}; save "
            "model.state_dict()"
        )
    if not places:
        raise InputError(
            f"{path} should hold weights, bare or under {', '.join(STATE_KEYS[:4])}, got "
            f"{_keys(content)}; save model.state_dict()"
        )
    epoch = _number(parts.get("epoch"))
    metrics = {k: _number(parts.get(k)) for k in METRIC_KEYS}
    rho = _sam_radius(parts.get("optimizer"))
    told = "the optimizer state says that SAM's rho was {:g} when it was saved"
    return Found(
        places=_dense(path, places),
        epoch=int(epoch) if _is_epoch(epoch) and epoch is not None else None,
        metrics={k: v for k, v in metrics.items() if v is not None},
        notes=() if rho is None else (told.format(rho),),
    )


class _Count:
    """How many tensors were found; each counts wherever it is, for others may hold its holder."""

    def __init__(self) -> None:
        self.found = 0

    def of(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return a state, counted."""
        self.found += len(state)
        check_limit("tensors", self.found, "tensors, counted under every key that leads to them")
        return state


def _places(content: Mapping[Any, Any], count: _Count, depth: int = _DEPTH) -> Iterator[Place]:
    """Yield the weights in a dictionary: under usual keys, bare, under any other key, averages."""
    if isinstance(content, OrderedDict):
        vars(content).clear()  # a pickle can give it attributes that hide its methods
    inner = {str(k): v for k, v in content.items() if isinstance(v, Mapping)}
    usual = [k for k in STATE_KEYS if k in inner]
    averages = [k for k in AVERAGE_KEYS if k in inner]
    others = [k for k in inner if k not in (*usual, *averages) and not _NO_WEIGHTS.search(k)]
    others.sort(key=is_average)
    below = {
        key: list(_places(inner[key], count, depth - 1)) if depth else []
        for key in (*usual, *averages, *others)
    }
    holding = [key for key in below if below[key]]

    def under(keys: list[str]) -> Iterator[Place]:
        for key in keys:
            aside = tuple(k for k in holding[: _SHOWN + 1] if k != key)[:_SHOWN]
            for place in below[key]:
                yield replace(place, keys=(key, *place.keys), aside=(*aside, *place.aside))

    yield from under(usual)
    yield from _bare(content, tuple(holding), count)
    alone = [key for key in others if below[key]]
    if len(alone) > 1:  # {"features": {...}, "head": {...}}: one network in parts
        joined = dict(_joined({key: inner[key] for key in alone}, depth))
        yield Place((), count.of(joined))
    yield from under(others)
    yield from under(averages)


def _bare(content: Mapping[Any, Any], holding: tuple[str, ...], count: _Count) -> Iterator[Place]:
    tensors = {str(k): t for k, v in content.items() if (t := _tensor(v)) is not None}
    others = {str(k): v.kind for k, v in content.items() if isinstance(v, OtherTensor)}
    plain = [v for v in tensors.values() if v.ndim and v.is_floating_point()]
    weights = any(v.ndim and _of_a_layer(k) for k, v in tensors.items())
    if others and (weights or any(map(_of_a_layer, others))):
        key, kind = next(iter(others.items()))
        raise InputError(
            f"{key} should be a dense real tensor, got one that is {kind}; save the network before "
            "it was quantised, pruned or moved"
        )
    if weights or (plain and len(tensors) == len(content)):
        known = {"epoch", *METRIC_KEYS, *tensors, *holding}
        ignored = tuple(sorted(k for k in map(str, content) if k not in known))
        yield Place((), count.of(tensors), holding[:_SHOWN], ignored)


def _of_a_layer(key: str) -> bool:
    return key.endswith("weight") or "." in key


def _joined(content: Mapping[Any, Any], depth: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of dictionaries inside dictionaries, their keys joined by dots."""
    for key, value in content.items():
        tensor = _tensor(value)
        if tensor is not None:
            yield str(key), tensor
        elif isinstance(value, Mapping) and depth:
            yield from ((f"{key}.{k}", v) for k, v in _joined(value, depth - 1))


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, Array) and value.values.dtype.kind in "fiub":
        return torch.from_numpy(value.values)
    return value if isinstance(value, Tensor) else None


def _keys(content: Mapping[Any, Any]) -> str:
    """Name the first keys where weights were looked for, and those under which there is None."""
    inner = next((content[k] for k in STATE_KEYS if isinstance(content.get(k), Mapping)), content)
    names = [f"{short_name(str(k), 60)}{' = None' if v is None else ''}" for k, v in inner.items()]
    return ", ".join(sorted(names)[:5]) or "nothing"


def _dense(path: Path, places: Sequence[Place]) -> tuple[Place, ...]:
    """Return places with plain tensors, and without what counts operations or networks."""
    found = {id(value): value for place in places for value in place.state.values()}
    check_limit("tensors", len(found), f"{path}: its tensors")
    stored = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in found.values()}
    taken = sum(tensor.numel() * tensor.itemsize for tensor in found.values())
    check_limit("shared_tensors", taken - sum(stored.values()), f"{path}: its tensors")
    plain: dict[int, Tensor] = {}
    made = []
    for place in places:
        state, widened = {}, set()
        for key, value in place.state.items():
            if key.rpartition(".")[2] in COUNTERS:
                continue
            check_limit("name", len(key), f"{path}: the key {key[:40]!r}...")
            if id(value) not in plain:
                plain[id(value)] = _plain(path, key, value)
            state[key] = plain[id(value)]
            if value.dtype != state[key].dtype:
                widened.add(str(value.dtype).removeprefix("torch."))
        made.append(replace(place, state=state, widened=tuple(sorted(widened))))
    return tuple(made)


def _plain(path: Path, key: str, value: Tensor) -> Tensor:
    """Return a dense tensor, half precision widened to float32."""
    if value.layout != torch.strided or value.is_quantized or value.is_complex():
        raise InputError(
            f"{path}: {key} should be a dense real tensor, got {value.dtype}, {value.layout}; "
            "save the network before it was quantised or pruned"
        )
    value = value.detach()
    if value.is_floating_point() and value.dtype not in (torch.float32, torch.float64):
        try:
            return value.float()
        except RuntimeError as error:  # two numbers a byte
            raise InputError(
                f"{path}: {key} holds {value.dtype}, which torch does not read as numbers; save "
                "the network before it was quantised"
            ) from error
    return value


def _number(value: Any) -> float | None:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _is_epoch(number: float | None) -> bool:
    return number is not None and number.is_integer() and 0 <= number < MOST_EPOCHS


def _sam_radius(optimizer: Any) -> float | None:
    groups = optimizer.get("param_groups") if isinstance(optimizer, Mapping) else None
    if not isinstance(groups, list) or not groups or not isinstance(groups[0], Mapping):
        return None
    return _number(groups[0].get("rho"))
