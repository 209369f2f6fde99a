"""The Hessians of several small losses, multiplied each by its own vector in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from spectra.products.block import affine_passes
from spectra.products.block.apart import LayerApart
from spectra.products.block.ways import Place, Way, tensors_of, with_tensors
from spectra.products.interface import ChunkHessian
from spectra.products.layers.interface import Saved, accumulate
from spectra.products.tangent.affine import Affine
from spectra.products.tangent.convolution import Convolution
from spectra.products.tangent.folding import Direction, Moved
from spectra.products.tangent.products import TangentChunk, TangentProducts
from spectra.products.tangent.rest import Rest

Batch = tuple[Tensor, Tensor, Tensor]


class BlockChunk(ChunkHessian):
    """Chunks of B losses of n images each: their primal work, row by row in memory that stays.

    A loss of fewer images has others of weight 0 behind its own. What stands in one row is read by
    no other row's product. A row that was not filled is of zeros, or of a loss that is gone.

    Args:
        products: of the network.
        ways: of its steps, see :func:`spectra.products.block.ways.ways_of`.
        count: B, at least 2.
        batch: images (n, ...), labels (n,) and weights (n,) of any loss, which fix the shapes.
    """

    def __init__(
        self, products: TangentProducts, ways: Sequence[Way], count: int, batch: Batch
    ) -> None:
        self.products, self.ways, self.count = products, list(ways), count
        self.still = products.folding.still()
        held = (*products.own.values(), *products.trace.constants.values())
        self._shared = {x.data_ptr() for x in held if isinstance(x, Tensor)}
        self._known: dict[Any, Tensor] = {}
        self._filled: list[tuple[Tensor, Callable[[TangentChunk], Any]]] = []
        like = products.linearise(*batch)
        self._kept = [
            self._kept_of(i, saved, way)
            for i, (saved, way) in enumerate(zip(like.saved, ways, strict=True))
        ]
        self.gradients: tuple[Tensor, Tensor] | None = None
        if like.gradients is not None:
            of_weights, of_biases = like.gradients
            self.gradients = (
                self._room(of_weights, lambda chunk: chunk.gradients and chunk.gradients[0]),
                self._room(of_biases, lambda chunk: chunk.gradients and chunk.gradients[1]),
            )
        bends, features = like.rest.bends, like.rest.features.detach()
        self.bends = None if bends is None else self._room(bends, lambda chunk: chunk.rest.bends)
        self.features = self._room(features, lambda chunk: chunk.rest.features.detach())
        self.labels, self.weights = (
            x.expand(count, *x.shape).clone() for x in (batch[1], torch.zeros_like(batch[2]))
        )
        self._known = {}

    def fill(self, row: int, batch: Batch) -> None:
        """Do the primal work of a loss into a row.

        Args:
            row: of the block.
            batch: images, labels and weights of the loss, n of them at most.
        """
        images, labels, weights = batch
        missing = self.labels.shape[1] - len(labels)
        if missing:
            images = torch.cat([images, images[:1].expand(missing, *images.shape[1:])])
            labels = torch.cat([labels, labels[:1].expand(missing)])
            weights = torch.cat([weights, weights.new_zeros(missing)])
        made = self.products.linearise(images, labels, weights)
        with torch.no_grad():
            for room, source in self._filled:
                room[row].copy_(source(made))
            self.labels[row].copy_(labels)
            self.weights[row].copy_(weights)

    @torch.no_grad()
    def product(self, direction: Direction) -> Tensor:
        """Return H_b v_b, (B, P), of B vectors."""
        assert direction.count == self.count
        trace, moving, last = self.products.trace, self.products.moving, self.products.last_use
        tangents: dict[str, Tensor | None] = dict.fromkeys((trace.batch, *trace.constants))
        for (name, p), piece in zip(self.products.own.items(), direction.rest, strict=True):
            tangents[name] = piece.view(self.count, *p.shape)
        before: list[list[Tensor | None]] = []
        for i, step in enumerate(trace.steps):
            before.append([tangents[name] for name in step.inputs])
            moved = self._tangent(i, before[i], direction) if step.output in moving else None
            tangents[step.output] = moved
            for name in set(step.inputs):
                if last[name] == i:
                    del tangents[name]
        found = Moved()
        of_features = self._through_the_loss(tangents[trace.features])
        cotangents: dict[str, Tensor | None] = {trace.features: of_features}
        for i, step in reversed(list(enumerate(trace.steps))):
            if step.output not in moving:
                continue
            wanted = [name in moving for name in step.inputs]
            d_delta = cotangents.pop(step.output, None)
            pulled = self._pulled(i, before.pop(i), d_delta, direction, found, wanted)
            accumulate(cotangents, step.inputs, pulled, wanted)
        for name, p in self.products.own.items():
            of_own = cotangents.get(name)
            if of_own is None:
                of_own = p.new_zeros(self.count, p.numel())
            found.rest.append(of_own.reshape(self.count, -1))
        part = self.products.folding.unfold(direction, found, self.gradients)
        return self.products.vector_parts.put(part, found.rest)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows."""
        return sum(room.nbytes for room, _ in self._filled)

    def _tangent(
        self, i: int, moves: Sequence[Tensor | None], direction: Direction
    ) -> Tensor | None:
        """Return the tangent of the output of a step, (B, ...)."""
        kept, layer = self._kept[i], self.products.trace.steps[i].layer
        if isinstance(kept, LayerApart):
            return kept.tangent(moves)
        if isinstance(layer, Affine):
            values = kept[("inputs", 0)], kept[("delta", None)]
            return affine_passes.tangent(layer, values, moves[0], direction)
        kept.input_tangents = tuple(_joined(d) for d in moves)
        return self._by_loss(layer.tangent(kept, self.still))

    def _pulled(
        self,
        i: int,
        moves: Sequence[Tensor | None],
        d_delta: Tensor | None,
        direction: Direction,
        found: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the tangents of the cotangents of a step's inputs, (B, ...)."""
        kept, layer = self._kept[i], self.products.trace.steps[i].layer
        if isinstance(kept, LayerApart):
            return kept.pull_tangent(d_delta, wanted)
        if isinstance(layer, Affine):
            values = kept[("inputs", 0)], kept[("delta", None)]
            pair = moves[0], d_delta
            pulled = affine_passes.pull_tangent(
                layer, values, pair, direction, found, wanted=wanted[0]
            )
            return [pulled]
        pulled_all = layer.pull_tangent(kept, _joined(d_delta), self.still, found, wanted)
        kept.input_tangents = ()
        return [self._by_loss(p) for p in pulled_all]

    def _through_the_loss(self, tangent: Tensor | None) -> Tensor:
        """Return the tangent of the cotangent of the features, (B, n, ...)."""
        if tangent is None:
            return torch.zeros_like(self.features)
        if self.bends is not None:
            return torch.einsum("bncd,bnd->bnc", self.bends, tangent)
        # Anew in each product: a graph that is kept would be of the losses that were there.
        products, labels, weights = self.products, *map(_joined, (self.labels, self.weights))
        rest = Rest(
            self.features.flatten(0, 1),
            products.trace.rest,
            [],
            lambda outputs: (weights * products.loss(outputs, labels)).sum(),
        )
        moved = self._by_loss(products.packed(rest.products(_joined(tangent), [], 1)[0]))
        assert moved is not None
        return moved

    def _kept_of(self, i: int, saved: Saved, way: Way) -> Any:
        """Return what a step has of all losses, in the form that its way asks for."""
        if way is Way.STILL:
            return None
        layer = self.products.trace.steps[i].layer
        is_wide = isinstance(layer, Convolution)
        rows = {
            at: self._room(x, _source(i, at), is_wide=is_wide)
            for at, x in tensors_of(saved).items()
        }
        if way is Way.AFFINE:
            return rows
        if way is Way.APART:
            shared = {at: x for at, x in rows.items() if x.data_ptr() in self._shared}
            own = {at: x for at, x in rows.items() if at not in shared}
            layer.adds_in_place = False
            return LayerApart(layer, with_tensors(saved, {}), own, shared, self.still)
        found = with_tensors(saved, {at: x.flatten(0, 1) for at, x in rows.items()})
        found.shapes = tuple(
            torch.Size((self.count * shape[0], *shape[1:])) if shape else shape
            for shape in saved.shapes
        )
        return found

    def _room(
        self, like: Tensor, source: Callable[[TangentChunk], Any], *, is_wide: bool = False
    ) -> Tensor:
        """Return room for B such tensors, (B, ...) in the memory order of one, to be filled.

        Args:
            like: one of them.
            source: takes them out of a chunk.
            is_wide: for a convolution, see :func:`spectra.products.block.affine_passes.wide_room`.
        """
        if like.data_ptr() in self._shared:
            return like
        if like.ndim and not any(like.stride()):  # it stands for its shape
            return like.new_zeros(()).expand(self.count, *like.shape)
        key = like.data_ptr(), like.shape, like.stride(), like.dtype, is_wide
        if like.numel() and key in self._known:
            return self._known[key]
        room = like.new_zeros((self.count, *like.shape))
        if like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last):
            wide = room.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            room = wide.unflatten(0, (self.count, -1))
        if is_wide:
            room = affine_passes.wide_room(like, self.count)
        self._known[key] = room
        self._filled.append((room, source))
        return room

    def _by_loss(self, joined: Tensor | None) -> Tensor | None:
        """Return (B n, ...) as (B, n, ...)."""
        return None if joined is None else joined.unflatten(0, (self.count, -1))


def _joined(by_loss: Tensor | None) -> Any:
    """Return (B, n, ...) as (B n, ...)."""
    return None if by_loss is None else by_loss.flatten(0, 1)


def _source(i: int, at: Place) -> Callable[[TangentChunk], Tensor]:
    """Return what takes the same tensor out of another chunk."""
    return lambda chunk: tensors_of(chunk.saved[i])[at]
