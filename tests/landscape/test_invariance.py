"""Which figure stays what it is when nothing but the description of a loss changes.

The table in docs/verdicts.md, cell by cell, on a ReLU network near a saddle that is known exactly.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from oracles import random_vector
from torch import Tensor, nn

from spectra import Eigenpair, HessianOperator, measure_bending
from spectra.landscape.network_landscape import NetworkLandscape
from spectra.landscape.search import find_stationary_point

DOCS = Path(__file__).parents[2] / "docs/verdicts.md"
CORNERS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
TARGETS = CORNERS * torch.tensor([1.0, 0.5], dtype=torch.float64)
# What rounding and, of distances, the end of a search leave; and what counts as another value.
SAME, OTHER = 1e-3, 0.01

CHANGES = ("rescaled layers", "loss × 3", "every image twice", "other parameters")
ROWS = {
    "λmin / λmax": "ratio",
    "ρ\\*": "critical_radius",
    "`share` of bending": "share",
    "number of negative eigenvalues at the stationary point": "index",
    "name of the stationary point": "name",
    "`distance`": "distance",
    "`relative_distance`": "relative_distance",
}


class Recast(nn.Module):
    """A layer whose weight and bias are θ + θ³/3 of its parameters: other parameters for them."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(_without_cube(p.detach())) for p in (layer.weight, layer.bias)
        )

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = (p + p**3 / 3 for p in (self.weight, self.bias))
        return x @ weight.T + bias


def _without_cube(value: Tensor) -> Tensor:
    """Return θ with θ + θ³/3 = value, by Newton's method."""
    theta = value.clone()
    for _ in range(60):
        theta = theta - (theta + theta**3 / 3 - value) / (1 + theta**2)
    return theta


@dataclass(frozen=True)
class Figures:
    """What is said of a loss at one point."""

    ratio: float
    critical_radius: float
    share: float
    index: int
    name: str
    distance: float
    relative_distance: float


def net(aside: Tensor, change: str | None) -> nn.Module:
    """Return the network ``aside`` of a saddle, all its units active on all images.

    Both hidden units fit the first of two targets, which the inputs' second coordinate is no help
    for: telling the units apart would fit the other one as well (Fukumizu & Amari 2000).
    """
    first, last = (nn.utils.skip_init(nn.Linear, 2, 2).double() for _ in range(2))
    values = [[1.0, 0.0], [1.0, 0.0]], [4.0, 4.0], [[0.5, 0.5], [0.0, 0.0]], [-4.0, 0.0]
    parameters = [*first.parameters(), *last.parameters()]
    pieces = aside.split([p.numel() for p in parameters])
    with torch.no_grad():
        for parameter, value, piece in zip(parameters, values, pieces, strict=True):
            saddle = torch.tensor(value, dtype=torch.float64)
            parameter.copy_(saddle + piece.view_as(parameter))
        if change == "rescaled layers":
            first.weight.mul_(4.0)
            first.bias.mul_(4.0)
            last.weight.div_(4.0)
    if change == "other parameters":
        return nn.Sequential(Recast(first), nn.ReLU(), Recast(last))
    return nn.Sequential(first, nn.ReLU(), last)


def operator(aside: Tensor, change: str | None) -> HessianOperator:
    times = 2 if change == "every image twice" else 1
    factor = 3.0 if change == "loss × 3" else 1.0

    def half_square(outputs: Tensor, labels: Tensor) -> Tensor:
        targets = TARGETS.to(outputs.dtype)[labels]
        return factor * 0.5 * (outputs - targets).square().sum(1)

    images, labels = CORNERS.repeat(times, 1), torch.arange(4).repeat(times)
    return HessianOperator(
        net(aside, change), images, labels, loss=half_square, dtype=torch.float64
    )


@cache
def figures(change: str | None) -> Figures:
    """Return all of them .03 from the saddle, the index at the saddle itself."""
    aside = random_vector(12, "aside of a saddle")
    aside = 0.03 * aside / aside.norm()
    op = operator(aside, change)
    values, vectors = torch.linalg.eigh(op.dense())
    low, high = (Eigenpair(float(values[k]), vectors[:, k], 0.0, True) for k in (0, -1))
    gradient = op.gradient()
    at_saddle = torch.linalg.eigvalsh(operator(torch.zeros_like(aside), change).dense())
    found = find_stationary_point(NetworkLandscape(op))
    assert found.distance is not None
    assert found.relative_distance is not None
    return Figures(
        ratio=low.value / high.value,
        critical_radius=2 * float(gradient.norm()) / abs(low.value),
        share=measure_bending(op, low, gradient, radius=0.1, highest=high).share,
        # Eigenvalues of symmetries are 0 to rounding.
        index=int((at_saddle < -1e-8 * at_saddle[-1]).sum()),
        name=found.name,
        distance=found.distance,
        relative_distance=found.relative_distance,
    )


def documented() -> dict[str, list[str]]:
    """Return the cells of the table, by the name of their row."""
    section = DOCS.read_text("utf-8").split("### What is invariant under what")[1].split("\n#")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    header, _, *body = rows
    assert tuple(header[1:]) == CHANGES
    return {name: cells for name, *cells in body}


def test_the_documented_table_has_a_row_for_each_figure():
    assert list(documented()) == list(ROWS)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("row", ROWS)
def test_a_figure_stays_what_it_is_where_the_table_says_so(row, change):
    before, after = (getattr(figures(which), ROWS[row]) for which in (None, change))
    stays = documented()[row][CHANGES.index(change)]
    if isinstance(before, str | int):
        assert stays == "yes"
        assert after == before
    elif stays == "yes":
        assert after == pytest.approx(before, rel=SAME)
    else:
        assert stays == "no"
        assert abs(after - before) > OTHER * abs(before)


def test_the_net_is_at_a_saddle_to_rounding():
    op = operator(torch.zeros(12, dtype=torch.float64), None)
    assert float(op.gradient().norm()) < 1e-14
    assert figures(None).index == 1
