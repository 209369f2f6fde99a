"""Operations without a formula here: what no parameter moves, and what torch's graph serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from spectra.objective.kept_tensors import counted
from spectra.objective.network.own_calls import called_as_own
from spectra.products.layers.interface import KeptGraph, Layer, Saved, total
from spectra.products.tangent.folding import Direction, Moved


class Fixed(Layer):
    """What no parameter moves, or what is no tensor: masks, sizes, arithmetic with sizes.

    Args:
        function: of the inputs.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def value(self, *inputs: Tensor) -> Tensor:
        """Return what the function returns."""
        return called_as_own(self.function, *inputs)

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return nothing."""
        return [None] * len(wanted)

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return nothing."""
        return None

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return nothing."""
        return [None] * len(wanted)


class GraphLayer(Layer):
    """Any operation that torch differentiates twice, and whatever parameters it has.

    The graph of x̄ = J(x)ᵀ u is kept. One pass through it, along dx, gives both J dx, the derivative
    of <x̄, dx> by u, and the bend ∇²<u, f> dx, its derivative by x. Another gives Jᵀ dδ.

    All that enters the graph is in plain order of memory: torch 2.13 differentiates a batch norm in
    eval mode wrongly where its input is in that order and the cotangent of one image is not.

    Args:
        function: of the inputs.
        parameters: for each input the parameter that the operation reads by itself, or None.
    """

    def __init__(
        self, function: Callable[..., Any], parameters: Sequence[Tensor | None] = ()
    ) -> None:
        self.function, self.parameters = function, list(parameters)

    def value(self, *inputs: Tensor) -> Tensor:
        """Return f(x)."""
        found = called_as_own(self.function, *inputs)
        if not isinstance(found, Tensor) or found.is_complex():
            kind = "complex numbers" if isinstance(found, Tensor) else type(found).__name__
            raise TypeError(f"an operation returned {kind}, not a tensor of real numbers")
        return found

    def pull(self, saved: Saved, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Return Jᵀ δ; keep its graph."""
        given = [x.contiguous() if isinstance(x, Tensor) else x for x in saved.inputs]
        leaves: dict[int, Tensor] = {}
        for i, want in enumerate(wanted):
            if want and given[i].is_floating_point():
                own = self.parameters[i] if self.parameters else None
                leaves[i] = given[i].detach().requires_grad_() if own is None else own
                given[i] = leaves[i]
        dual = saved.cotangent.detach().contiguous().requires_grad_()

        @torch.enable_grad()
        def graph_of_pull() -> tuple[Tensor, Sequence[Tensor | None]]:
            output = called_as_own(self.function, *given)
            if not output.requires_grad:  # a comparison, say
                return output, [None] * len(leaves)
            return output, torch.autograd.grad(
                output, list(leaves.values()), dual, create_graph=True, allow_unused=True
            )

        weights = [p for p in self.parameters if p is not None]
        kept = counted(graph_of_pull, without=weights)
        output, pulled = kept.made
        known = {i: p for i, p in zip(leaves, pulled, strict=True) if p is not None}
        if output.requires_grad:
            saved.graph = KeptGraph(output, leaves, dual, known, kept.nbytes)
        found: list[Tensor | None] = [None] * len(wanted)
        for i, p in known.items():
            found[i] = p.detach()
        return found

    def tangent(self, saved: Saved, direction: Direction) -> Tensor | None:
        """Return J dx; keep the bend for the way back."""
        graph, count = saved.graph, direction.count
        if graph is None:
            return None
        graph.bent = []
        pairs = [
            (p, dx)
            for i, p in graph.pulled.items()
            if (dx := saved.input_tangents[i]) is not None and p.requires_grad
        ]
        if not pairs:
            return None
        each = [
            _derivatives(
                graph, [(p, dx.reshape(count, *p.shape)[k].contiguous()) for p, dx in pairs]
            )
            for k in range(count)
        ]
        moved, *graph.bent = (_stacked(list(of_all), count) for of_all in zip(*each, strict=True))
        return moved

    def pull_tangent(
        self,
        saved: Saved,
        d_delta: Tensor | None,
        direction: Direction,
        moved: Moved,
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return Jᵀ dδ + ∇²<δ, f> dx."""
        graph = saved.graph
        found: list[Tensor | None] = [None] * len(wanted)
        if graph is None:
            return found
        bent, graph.bent = graph.bent or [None] * len(graph.leaves), []
        pulled: list[Tensor | None] = [None] * len(graph.leaves)
        if d_delta is not None:
            pulled = self._pulled(graph, d_delta, direction.count)
        for i, one, other in zip(graph.leaves, pulled, bent, strict=True):
            found[i] = total(one, other)
        return found

    def _pulled(self, graph: KeptGraph, d_delta: Tensor, count: int) -> list[Tensor | None]:
        """Return Jᵀ dδ, one a leaf."""
        shape, leaves = graph.output.shape, list(graph.leaves.values())
        each = [
            torch.autograd.grad(
                graph.output, leaves, d.contiguous(), retain_graph=True, allow_unused=True
            )
            for d in d_delta.reshape(count, *shape)
        ]
        return [_stacked(list(of_all), count) for of_all in zip(*each, strict=True)]


def _derivatives(graph: KeptGraph, pairs: list[tuple[Tensor, Tensor]]) -> list[Tensor | None]:
    """Return the derivatives of Σ <p, d> over the pairs, by the dual and by each leaf."""
    return list(
        torch.autograd.grad(
            [p for p, _ in pairs],
            [graph.dual, *graph.leaves.values()],
            [d for _, d in pairs],
            retain_graph=True,
            allow_unused=True,
        )
    )


def _stacked(found: list[Tensor | None], count: int) -> Tensor | None:
    """Return what each of K directions gave, (K n, ...); None where none gave anything."""
    present = [f for f in found if f is not None]
    if not present:
        return None
    if count == 1:
        return present[0]
    stacked = torch.stack([torch.zeros_like(present[0]) if f is None else f for f in found])
    return stacked.flatten(0, 1) if stacked.ndim > 1 else stacked
