"""Samples that come batch after batch, put together in memory."""

from typing import Any

import torch
from torch import Tensor

from spectra.errors import InputError
from spectra.objective.samples.input_tree import InputTree, Samples, select
from spectra.objective.samples.trees import leaves, map_leaves

_GIB = 2**30


class GatheredSamples:
    """Samples of one form each, held as they come.

    Args:
        count: how many there are going to be; None: nobody knows, and there are twice as many bytes
            for a moment.
        room: bytes that they may take.
    """

    def __init__(self, count: int | None, room: int) -> None:
        self.count, self.room, self.held = count, room, 0
        self._forms: dict[str, torch.Size] = {}
        self._kept: dict[str, Tensor] = {}
        self._pieces: dict[str, list[Tensor]] = {}
        self._tree: Any = None

    def add(self, samples: Samples, keep: Tensor) -> None:
        """Hold the samples at positions ``keep``, int64 (k,).

        Raises:
            InputError: they are of another form than those before, or take too many bytes.
        """
        found = _tensors(samples)
        forms = {name: x.shape[1:] for name, x in found.items()}
        if self._forms and forms != self._forms:
            raise InputError(_differing(self._forms, forms))
        each = sum(x[:1].nbytes for x in found.values())
        if not self._forms:
            self._forms = forms
            self._tree = samples.tree if isinstance(samples, InputTree) else None
            if self.count is not None:
                self._check_room(self.count, each)
                self._kept = {
                    name: torch.empty((self.count, *x.shape[1:]), dtype=x.dtype)
                    for name, x in found.items()
                }
        end = self.held + len(keep)
        if self.count is None:
            self._check_room(2 * end, each)
        chosen = samples if len(keep) == len(samples) else select(samples, keep)
        for name, x in _tensors(chosen).items():
            if self.count is None:
                # One tensor is made of the pieces, which lie beside it for a moment.
                self._pieces.setdefault(name, []).append(x.clone())
            else:
                self._kept[name][self.held : end] = x
        self.held = end

    def together(self) -> Samples:
        """Return all of them.

        Raises:
            InputError: there are none.
        """
        if not self._forms:
            raise InputError("data hold no images")
        parts = self._kept or {name: torch.cat(pieces) for name, pieces in self._pieces.items()}
        if self._tree is None:
            return parts[""]
        rest = iter(parts.values())
        return InputTree(map_leaves(lambda _: next(rest), self._tree))

    def _check_room(self, count: int, each: int) -> None:
        if count * each > self.room:
            raise InputError(
                f"{count} images take {count * each / _GIB:.3g} GiB, {self.room / _GIB:.3g} GiB "
                "may be taken; choose fewer classes, set images_per_class, or give "
                "spectra.LazyImages"
            )


def _tensors(samples: Samples) -> dict[str, Tensor]:
    tree = samples.tree if isinstance(samples, InputTree) else samples
    return dict(leaves(tree))


def _differing(before: dict[str, torch.Size], now: dict[str, torch.Size]) -> str:
    """Return a line about batches of which one has other parts than the other, or other shapes."""
    if before.keys() != now.keys():
        return f"batches must be of one form, got {', '.join(before)} and {', '.join(now)}"
    name = next(name for name in before if before[name] != now[name])
    return (
        f"{name or 'images'} must be of one shape, got {tuple(before[name])} and "
        f"{tuple(now[name])}; pad sequences to one length, whatever batch they are in"
    )
