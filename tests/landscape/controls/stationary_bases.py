"""Stationary points that are known to float64: minima, and saddles of units that are doubled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from known_functions import KnownFunction, NetLoss
from torch import Tensor
from torch.func import grad, jacrev

STATIONARY = 1e-12  # ‖g‖ of what counts as stationary: some hundred ulp of the sums of a small net
FLAT = 1e-4  # the rule's own: eigenvalues under this share of the largest count as 0


@dataclass(frozen=True)
class Base:
    """A stationary point of ``function`` at ``point``, with the eigenvalues there, ascending."""

    function: KnownFunction
    point: Tensor
    eigenvalues: Tensor
    vectors: Tensor

    @property
    def truth(self) -> str:
        """What it is by its dense Hessian."""
        largest = float(self.eigenvalues.abs().max())
        lowest = float(self.eigenvalues[0])
        if lowest < -FLAT * largest:
            return "saddle"
        return "minimum" if lowest > FLAT * largest else "flat"

    @property
    def lowest_share(self) -> float:
        """λmin / max|λ|."""
        return float(self.eigenvalues[0] / self.eigenvalues.abs().max())


def base_at(function: KnownFunction, point: Tensor) -> Base | None:
    """Return what is at ``point``; None where it is not stationary."""
    if float(function.gradient(point).norm()) > STATIONARY:
        return None
    return Base(function, point, *torch.linalg.eigh(function.dense(point)))


def descend(
    value: Callable[[Tensor], Tensor], start: Tensor, *, rounds: int = 100, farthest: float = 20.0
) -> Tensor:
    """Return a minimum of ``value`` by Newton steps on |H|, at most 1 long, cut where it rises.

    It gives up after ``rounds``, and where ‖w‖ passes ``farthest``: that minimum lies at infinity.

    Source: Dauphin et al. 2014, saddle-free Newton.
    """
    w, slope = start, grad(value)
    curvature = jacrev(slope)
    before = float(value(w))
    for _ in range(rounds):
        g = slope(w)
        if float(g.norm()) < 0.1 * STATIONARY or float(w.norm()) > farthest:
            break
        eigenvalues, vectors = torch.linalg.eigh(curvature(w))
        bend = eigenvalues.abs().clamp_min(1e-6 * float(eigenvalues.abs().max()))
        step = -vectors @ (vectors.T @ g / bend)
        step = step / max(1.0, float(step.norm()))
        for _ in range(30):
            after = float(value(w + step))
            # Near the end the loss is flat to rounding, and Newton's whole step is right.
            if after <= before + 1e-14 * abs(before):
                break
            step = step / 2
        w, before = w + step, after
    return w


def tied(loss: NetLoss, groups: Sequence[Sequence[int]]) -> Tensor:
    """Return, for each entry of w, which entry of the tied parameters it is.

    Args:
        groups: for each hidden layer, for each unit, the number of its group: units of a group
            share their incoming and outgoing weights and their bias.
    """
    of_layer = [list(range(loss.widths[0])), *map(list, groups), list(range(loss.widths[-1]))]
    known: dict[tuple[int, ...], int] = {}
    owners = []
    for layer in range(len(loss.widths) - 1):
        before, after = of_layer[layer], of_layer[layer + 1]
        owners += [known.setdefault((layer, i, j), len(known)) for i in after for j in before]
        owners += [known.setdefault((layer, i), len(known)) for i in after]
    return torch.tensor(owners)


def minimum(loss: NetLoss, start: Tensor) -> Base | None:
    """Return where Newton's method ends from ``start``."""
    return base_at(loss, descend(loss.value, start))


def doubled_units(loss: NetLoss, groups: Sequence[Sequence[int]], start: Tensor) -> Base | None:
    """Return the minimum of ``loss`` among nets whose units are equal in groups.

    Exchanging two units of a group leaves such nets and the loss as they are, so the gradient lies
    among them too: a minimum among them is a stationary point of the whole loss, weight decay
    included (the principle of symmetric criticality, Palais 1979). Where telling the units apart
    lowers the loss, it is a saddle: Fukumizu & Amari 2000, with half the output weight each.
    """
    owner = tied(loss, groups)
    few = torch.zeros(int(owner.max()) + 1, dtype=torch.float64)
    few = few.index_copy(0, owner, start)  # of each group, one unit's values
    few = descend(lambda theta: loss.value(theta[owner]), few)
    return base_at(loss, few[owner])
