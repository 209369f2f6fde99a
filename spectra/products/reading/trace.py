"""What a network looks like once it is read: steps from its batch to its features, and a rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from spectra.products.layers.interface import Layer


@dataclass(frozen=True)
class Step:
    """A layer, where its inputs come from, and the name of what it makes."""

    layer: Layer
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Trace:
    """A network as steps from the batch to ``features``, and the rest.

    Attributes:
        steps: in the order of computation.
        batch: name of what the network is called with.
        features: name of the value that the rest reads.
        rest: maps features to outputs.
        rest_names: names, in the network, of the rest's trainable parameters.
        parameters: values that are trained parameters, which steps read as they read others: the
            parameter's name in the network by the value's.
        constants: values that are other tensors of the network, by name.
        calls_modules: whether modules of somebody's own are called as they are. What those keep of
            a call (a cache, a mask) is not for several threads.
    """

    steps: tuple[Step, ...]
    batch: str
    features: str
    rest: Callable[[Tensor], Any]
    rest_names: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    calls_modules: bool = False
