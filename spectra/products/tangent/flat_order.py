"""One flat order for the parameters of all affine layers, and the way between it and a vector.

The weights of all layers come first, sorted by the length of a filter, so that sums over filters
are sums over the rows of a few matrices; then one entry an output channel for each kind of
parameter that a channel has: γ, β and c, the bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

AffineModule = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d

KINDS = ("weight", "gamma", "beta", "bias")


@dataclass(frozen=True)
class AffineParts:
    """An affine layer as it stands in a network.

    Attributes:
        names: by kind, of the parameters that are trained.
        module: the convolution or linear layer.
        norm: the batch norm after it, with running averages, or None.
    """

    names: Mapping[str, str]
    module: AffineModule
    norm: Norm | None


@dataclass(frozen=True)
class Block:
    """Where a layer lies in the flat order.

    Attributes:
        weights: of its filters' entries, among all weights.
        channels: of its output channels, among all channels.
        shape: of its weight.
    """

    weights: slice
    channels: slice
    shape: torch.Size


@dataclass(frozen=True)
class Group:
    """Neighbouring layers whose filters are of one length.

    Attributes:
        weights: of their entries, among all weights.
        length: entries of a filter.
    """

    weights: slice
    length: int


class FlatOrder:
    """Where everything is.

    Args:
        layers: those that share parameters are listed one by one.
        shapes: of their trained parameters by name, in the order of a vector of these.
        channels_last: whether filters of 2-d convolutions are laid out in that memory order.

    Attributes:
        size: P, of a vector.
        blocks: of each layer.
        groups: in order; together all weights.
        num_weights: entries of all filters.
        num_channels: output channels of all layers.
        kinds: sections of the flat order, ``weight`` first; those trained nowhere are left out.
        gather: for each entry of the flat order its place in a vector with a zero behind it, (F,).
        needs_zero: whether any of them is that zero.
        inverse: for each entry of a vector its place in the flat order, (P,).
        again: places in a vector, and places that are to be added there: of parameters that more
            than one layer reads.
    """

    def __init__(
        self,
        layers: Sequence[AffineParts],
        shapes: Mapping[str, torch.Size],
        *,
        channels_last: bool,
    ) -> None:
        self.channels_last = channels_last
        places, self.size = {}, 0
        for name, shape in shapes.items():
            places[name] = slice(self.size, self.size + shape.numel())
            self.size += shape.numel()
        self.blocks, self.groups = _place([parts.module.weight.shape for parts in layers])
        self.num_weights = max((b.weights.stop for b in self.blocks), default=0)
        self.num_channels = max((b.channels.stop for b in self.blocks), default=0)
        # A name that has no place is tied to another one, under which it is trained.
        named = [
            (kind, block, name)
            for parts, block in zip(layers, self.blocks, strict=True)
            for kind, name in parts.names.items()
            if name in places
        ]
        trained = {kind for kind, _, _ in named} | {"weight"}
        self.kinds = [kind for kind in KINDS if kind in trained]
        self._index(named, places)

    def _index(
        self,
        named: list[tuple[str, Block, str]],
        places: dict[str, slice],
    ) -> None:
        offsets, end = {}, 0
        for kind in self.kinds:
            offsets[kind] = end
            end += self.num_weights if kind == "weight" else self.num_channels
        # Of a large network these are its largest tensors beside the weights: 4 bytes an entry, and
        # one parameter's at a time on the way.
        self.gather = torch.full((end,), self.size, dtype=torch.int32)
        self.inverse = torch.empty(self.size, dtype=torch.int32)
        self.again: list[tuple[Tensor, Tensor]] = []
        taken: set[str] = set()

        def place(name: str, entries: Tensor, start: int) -> None:
            """Have the entries of a parameter lie from ``start`` on in the flat order."""
            flat = torch.arange(start, start + len(entries), dtype=torch.int32)
            if name in taken:
                self.again.append((entries, flat.long()))
            else:
                self.inverse[entries] = flat
            taken.add(name)

        for kind, block, name in named:
            entries = torch.arange(places[name].start, places[name].stop)
            at = block.channels
            if kind == "weight":
                at = block.weights
                entries = self.flat(entries.view(block.shape), block.shape)
            self.gather[offsets[kind] + at.start : offsets[kind] + at.stop] = entries
            place(name, entries, offsets[kind] + at.start)
        self.needs_zero = bool((self.gather == self.size).any())

    def sections(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the sections of a tensor in flat order, (..., F), by kind."""
        sizes = [self.num_weights if k == "weight" else self.num_channels for k in self.kinds]
        return dict(zip(self.kinds, flat.split(sizes, -1), strict=True))

    def flat(self, weight: Tensor, shape: torch.Size) -> Tensor:
        """Return a weight (..., O, I, h, w), ``shape`` without leading axes, in memory order."""
        if self._moves(shape):
            weight = weight.movedim(-3, -1)
        return weight.flatten(weight.ndim - len(shape))

    def view(self, flat: Tensor, shape: torch.Size) -> Tensor:
        """Return what :meth:`flat` makes of a weight as that weight again, without a copy."""
        lead = flat.shape[:-1]
        if self._moves(shape):
            o, i, h, w = shape
            return flat.view(*lead, o, h, w, i).movedim(-1, -3)
        return flat.view(*lead, *shape)

    def _moves(self, shape: torch.Size) -> bool:
        return self.channels_last and len(shape) == 4


def _place(shapes: Sequence[torch.Size]) -> tuple[list[Block], list[Group]]:
    """Give every layer its place, those with filters of one length together."""
    lengths = [shape[1:].numel() for shape in shapes]
    blocks: dict[int, Block] = {}
    groups: list[Group] = []
    weight = channel = 0
    for i in sorted(range(len(shapes)), key=lengths.__getitem__):
        start, weight = weight, weight + shapes[i].numel()
        blocks[i] = Block(slice(start, weight), slice(channel, channel + shapes[i][0]), shapes[i])
        channel += shapes[i][0]
        if groups and groups[-1].length == lengths[i]:
            start = groups.pop().weights.start
        groups.append(Group(slice(start, weight), lengths[i]))
    return [blocks[i] for i in range(len(shapes))], groups
