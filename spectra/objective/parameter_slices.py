"""Which entries of a vector belong to which parameter of a network."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from spectra.errors import InputError

# Ours: as many as a line holds.
_NEAR_NAMES = 4


@dataclass(frozen=True)
class ParameterSlices:
    """The parameters of a network in the order in which a vector (P,) holds them.

    Attributes:
        names: such as ``layer3.0.conv1.weight``.
        shapes: theirs.
    """

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each parameter."""
        return tuple(shape.numel() for shape in self.shapes)

    @property
    def size(self) -> int:
        """P, of a vector."""
        return sum(self.sizes)

    @property
    def slices(self) -> dict[str, slice]:
        """Where each parameter lies in a vector, by name."""
        found, start = {}, 0
        for name, size in zip(self.names, self.sizes, strict=True):
            found[name] = slice(start, start + size)
            start += size
        return found

    def block(self, patterns: str | Sequence[str]) -> ParameterSlices:
        """Return the parameters that match, in the order of these.

        Args:
            patterns: one or several, each a name or a glob such as ``layer3.*``.

        Raises:
            InputError: a pattern matches no name; the message lists near ones.
        """
        given = [patterns] if isinstance(patterns, str) else patterns
        if not (isinstance(given, Iterable) and all(isinstance(one, str) for one in given)):
            raise InputError(f"parameters must be names or globs such as 'layer3.*', got {given!r}")
        patterns = list(given)
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in self.names):
                raise InputError(
                    f"no parameter matches {pattern!r}; near are {', '.join(self._near(pattern))}"
                )
        chosen = [
            (name, shape)
            for name, shape in zip(self.names, self.shapes, strict=True)
            if any(fnmatchcase(name, pattern) for pattern in patterns)
        ]
        if not chosen:
            raise InputError("no pattern is given; name parameters, such as 'layer3.*'")
        return ParameterSlices(tuple(n for n, _ in chosen), tuple(s for _, s in chosen))

    def positions_of(self, names: Sequence[str]) -> Tensor:
        """Return where the entries of the parameters ``names`` lie in a vector, int64 (k,)."""
        slices = self.slices
        return torch.cat([torch.arange(slices[n].start, slices[n].stop) for n in names])

    def _near(self, pattern: str) -> list[str]:
        bare = pattern.strip("*.")
        near = [name for name in self.names if bare and bare in name]
        near += difflib.get_close_matches(bare, self.names, n=_NEAR_NAMES, cutoff=0.0)
        return list(dict.fromkeys(near))[:_NEAR_NAMES]
