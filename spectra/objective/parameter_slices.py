"""Which entries of a vector belong to which parameter of a network."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

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
            patterns: see :func:`matching`.

        Raises:
            InputError: a pattern matches nothing; the message lists near names.
        """
        shapes = dict(zip(self.names, self.shapes, strict=True))
        chosen = matching(self.names, patterns)
        return ParameterSlices(chosen, tuple(shapes[name] for name in chosen))

    def positions_of(self, names: Sequence[str]) -> Tensor:
        """Return where the entries of the parameters ``names`` lie in a vector, int64 (k,)."""
        slices = self.slices
        return torch.cat([torch.arange(slices[n].start, slices[n].stop) for n in names])


def matching(names: Sequence[str], patterns: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of parameters that match, in the order of ``names``.

    Args:
        names: of parameters.
        patterns: one or several, each a name or a glob, of a parameter or of a module that holds
            it: ``layer3.0.conv1.weight``, ``layer3``, ``layer3.*`` and ``*.bias``. A parametrized
            tensor goes by its own name: ``fc.weight`` of ``fc.parametrizations.weight.original0``.

    Raises:
        InputError: a pattern matches nothing; the message lists near names and the top-level ones.

    >>> matching(["conv.weight", "fc.weight", "fc.bias"], "fc")
    ('fc.weight', 'fc.bias')
    """
    given = as_patterns(patterns)
    if not given:
        raise InputError("no pattern is given; name parameters, such as 'layer3.*'")
    found: set[str] = set()
    for pattern in given:
        matched = {name for name in names if _matches(name, pattern)}
        if not matched:
            top = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise InputError(
                f"no parameter matches {pattern!r}; near are {', '.join(_near(names, pattern))}; "
                f"at the top are {top}"
            )
        found |= matched
    return tuple(name for name in names if name in found)


def as_patterns(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return one pattern, or several, as a tuple.

    Raises:
        InputError: it is no text.
    """
    several = (given,) if isinstance(given, str) else given
    if not (isinstance(several, Iterable) and all(isinstance(one, str) for one in several)):
        raise InputError(f"parameters must be names or globs such as 'layer3.*', got {given!r}")
    return tuple(several)


def train_alone(model: nn.Module, patterns: str | Sequence[str]) -> None:
    """Have every parameter but those that match without ``requires_grad``; ``model`` is changed.

    A tied parameter matches by each of its names.

    Args:
        model: one's own.
        patterns: see :func:`matching`.

    Raises:
        InputError: a pattern matches nothing, or only what has no ``requires_grad`` already.
    """
    every = list(model.named_parameters(remove_duplicate=False))
    chosen = {id(p) for n, p in every if n in set(matching([n for n, _ in every], patterns))}
    trained = [p for _, p in every if p.requires_grad]
    if not any(id(p) in chosen for p in trained):
        raise InputError(
            f"all parameters that match {patterns!r} have requires_grad=False; set it to True for "
            "those that the Hessian is to be taken by"
        )
    for parameter in trained:
        parameter.requires_grad_(id(parameter) in chosen)


def trained_and_held(
    model: nn.Module, patterns: str | Sequence[str] | None = None
) -> tuple[int, int]:
    """Return how many numbers a matrix is by, and how many of the network are held fixed.

    Args:
        model: the network.
        patterns: see :func:`matching`; None: all that have ``requires_grad``.

    >>> trained_and_held(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), "1.*")
    (10, 16)
    """
    every = list(model.named_parameters(remove_duplicate=False))
    names = [name for name, _ in every]
    chosen = set(names if patterns is None else matching(names, patterns))
    trained = {id(p): p.numel() for n, p in every if p.requires_grad and n in chosen}
    size = sum(trained.values())
    return size, sum(p.numel() for p in model.parameters()) - size


def _matches(name: str, pattern: str) -> bool:
    return any(fnmatchcase(called, pattern) for called in _called(name))


def _called(name: str) -> Iterator[str]:
    """Yield a parameter's name and those of the modules that it lies in, innermost first."""
    for full in dict.fromkeys((name, name.replace("parametrizations.", ""))):
        parts = full.split(".")
        yield from (".".join(parts[:k]) for k in range(len(parts), 0, -1))


def _near(names: Sequence[str], pattern: str) -> list[str]:
    bare = pattern.strip("*.")
    near = [name for name in names if bare and bare in name]
    near += difflib.get_close_matches(bare, names, n=_NEAR_NAMES, cutoff=0.0)
    return list(dict.fromkeys(near))[:_NEAR_NAMES]
