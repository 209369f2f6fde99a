"""What of a vector affine layers take, what others, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class VectorParts:
    """A vector in parameter space as the part of the affine layers' parameters, and loose pieces.

    Pieces are cut out and put together as they are, which costs a large network much less than
    looking every entry up.

    Args:
        shapes: of the trained parameters by name, in the order of a vector.
        affine: names of those that affine layers read.
        loose: names of those that others read, in the order of the pieces; perhaps the same.
        joined: whether the part is one tensor; else it is one for each of ``affine``, in order.
    """

    def __init__(
        self,
        shapes: Mapping[str, torch.Size],
        affine: set[str],
        loose: Sequence[str],
        *,
        joined: bool = True,
    ) -> None:
        self._joined = joined
        places, end = {}, 0
        self._sources: list[tuple[int | None, int]] = []  # the piece, or None for the part; size
        first = {name: k for k, name in reversed(list(enumerate(loose)))}
        for name, shape in shapes.items():
            places[name] = slice(end, end + shape.numel())
            end += shape.numel()
            self._sources.append((None if name in affine else first.get(name, -1), shape.numel()))
        self._affine = [places[name] for name in shapes if name in affine]
        if joined:
            self._affine = _merged(self._affine)
        self._loose = [places[name] for name in loose]
        # Pieces that are added to what is there: of parameters that are read in both ways.
        self._again = [
            (places[name], k) for k, name in enumerate(loose) if name in affine or first[name] != k
        ]

    def take(self, vectors: Tensor) -> tuple[Any, list[Tensor]]:
        """Return the part and the pieces of vectors (P,) or (K, P)."""
        pieces = [vectors[..., place] for place in self._affine]
        if not self._joined:
            return pieces, [vectors[..., place] for place in self._loose]
        part = pieces[0] if len(pieces) == 1 else torch.cat([vectors[..., :0], *pieces], -1)
        return part, [vectors[..., place] for place in self._loose]

    def put(self, part: Any, pieces: Sequence[Tensor]) -> Tensor:
        """Return the vectors (P,) or (K, P) whose part and pieces these are, zeros elsewhere."""
        sizes = [size for source, size in self._sources if source is None]
        if self._joined:
            if not pieces and part.shape[-1] == sum(size for _, size in self._sources):
                whole: Tensor = part
                return whole
            part = part.split([*sizes, part.shape[-1] - sum(sizes)], -1)
        known = next(iter((*part, *pieces)))
        parts, found = iter(part), []
        for source, size in self._sources:
            if source is None:
                found.append(next(parts))
            elif source < 0:  # nothing reads it
                found.append(known.new_zeros(*known.shape[:-1], size))
            else:
                found.append(pieces[source])
        vectors = torch.cat(found, -1)
        for place, k in self._again:
            vectors[..., place] += pieces[k]
        return vectors


def _merged(places: list[slice]) -> list[slice]:
    """Return neighbouring slices as one."""
    found: list[slice] = []
    for place in places:
        if found and found[-1].stop == place.start:
            place = slice(found.pop().start, place.stop)
        found.append(place)
    return found
