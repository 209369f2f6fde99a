"""Changes of a loss that move its Hessian in a known way: H becomes c T H Tᵀ + d."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from oracles import cross_entropy, refill
from torch import Tensor, nn

from spectra import HessianOperator, make_generator

DOUBLE = torch.float64
FACTOR, DECAY, SHIFT = 3.7, 0.25, 5.0
# Of the classes 0, 1 and 2.
RELABELLED = torch.tensor([2, 0, 1])
Named = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A network at its weights, images, labels, and the loss of them."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    weights: Tensor | None = None
    decay: float = 0.0

    def operator(self, **options) -> HessianOperator:
        """Return the Hessian in float64, in chunks of which the last is shorter."""
        given = {"dtype": DOUBLE, "micro_chunk": 5, "check": False, **options}
        return HessianOperator(
            self.model, self.images, self.labels, loss=self.loss, weights=self.weights,
            weight_decay=self.decay, label="case", **given,
        )  # fmt: skip

    def of(self, index: Tensor) -> "Case":
        """Return the case of some of its images."""
        return replace(self, images=self.images[index], labels=self.labels[index])

    def weighing(self, weights: Tensor) -> "Case":
        return replace(self, weights=weights)

    def decaying(self, decay: float) -> "Case":
        return replace(self, decay=decay)

    def with_parameters(self, change: Callable[["Named"], "Named"]) -> "Case":
        """Return the case with its parameters and buffers, by name, changed."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(change(dict(model.state_dict())))
        return replace(self, model=model)


@dataclass(frozen=True)
class Relation:
    """What a change of the case does to H.

    Attributes:
        change: returns the changed case.
        factor: c.
        shift: d.
        carry: v -> T v, whose columns are orthonormal; None: T = 1.
    """

    change: Callable[[Case], Case]
    factor: float = 1.0
    shift: float = 0.0
    carry: Callable[[Case, Tensor], Tensor] | None = None

    def carried(self, case: Case, v: Tensor) -> Tensor:
        return v if self.carry is None else self.carry(case, v)


class WithUnused(nn.Module):
    """A network with a parameter beside it that its outputs do not depend on."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.unused = nn.Parameter(torch.ones(4, dtype=DOUBLE))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


@cache
def case_of(kind: str) -> Case:
    """Return a small network away from any stationary point, and 13 images of 3 classes."""
    with torch.random.fork_rng(devices=[]):  # the constructors draw from the global generator
        net = {
            "dense": lambda: nn.Sequential(
                nn.Flatten(), nn.Linear(18, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(),
                nn.Linear(4, 3),
            ),
            "convolutional": lambda: nn.Sequential(
                nn.Conv2d(2, 4, 2), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 4, 2), nn.ReLU(),
                nn.Flatten(), nn.Linear(4, 3),
            ),
        }[kind]()  # fmt: skip
    net = refill(net.double(), kind).eval()
    generator = make_generator(0, "metamorphic images", kind)
    images = torch.randn(13, 2, 3, 3, generator=generator, dtype=DOUBLE)
    return Case(net, images, torch.arange(13) % 3)


@cache
def operator_of(kind: str) -> HessianOperator:
    """Return the operator of the case as it is, built once."""
    return case_of(kind).operator()


def moved(case: Case, v: Tensor, change: Callable[[Named], Named]) -> Tensor:
    """Return a vector of the parameters, its entries moved as the parameters are."""
    named = {name: p for name, p in case.model.named_parameters()}
    pieces = v.split([p.numel() for p in named.values()])
    rows = {n: piece.view_as(p) for (n, p), piece in zip(named.items(), pieces, strict=True)}
    buffers = {n: b for n, b in case.model.named_buffers()}
    after = change({**rows, **buffers})
    return torch.cat([after[name].reshape(-1) for name in named])


def hidden_units_permuted(named: Named) -> Named:
    """Change the order of the first layer's units."""
    order = torch.tensor([2, 0, 3, 1])
    first = "0" if named.get("0.weight") is not None else "1"
    after = "3"  # in both networks
    changed = dict(named)
    for name, value in named.items():
        layer = name.partition(".")[0]
        if layer == after and name.endswith("weight"):
            changed[name] = value[:, order]
        elif layer < after and value.ndim and layer in (first, "1"):
            changed[name] = value[order]
    return changed


def outputs_permuted(named: Named) -> Named:
    """Move the rows of the last layer to where the classes' new labels are."""
    last = max(name.partition(".")[0] for name in named)
    back = RELABELLED.argsort()
    return {n: v[back] if n.partition(".")[0] == last else v for n, v in named.items()}


def scaled(case: Case) -> Case:
    return replace(case, loss=lambda outputs, labels: FACTOR * case.loss(outputs, labels))


def images_permuted(case: Case) -> Case:
    return case.of(torch.randperm(len(case.labels), generator=make_generator(0, "order")))


def data_doubled(case: Case) -> Case:
    return case.of(torch.arange(len(case.labels)).repeat(2))


def logits_shifted(case: Case) -> Case:
    return replace(case, loss=lambda outputs, labels: case.loss(outputs + SHIFT, labels))


def relabelled(case: Case) -> Case:
    changed = case.with_parameters(outputs_permuted)
    return replace(changed, labels=RELABELLED[case.labels])


def weights_scaled(case: Case) -> Case:
    return case.weighing(torch.full((len(case.labels),), FACTOR, dtype=DOUBLE))


def squares_added(case: Case) -> Case:
    """Add c‖w‖², as weight decay, which is of ½ c‖w‖²."""
    return case.decaying(2 * DECAY)


def squares_written_out(case: Case) -> Case:
    """Add c‖w‖² to the outputs of a network, for the loss to take off again."""

    class WithSquares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = copy.deepcopy(case.model)

        def forward(self, x: Tensor) -> Tensor:
            squares = sum(p.square().sum() for p in self.net.parameters())
            outputs = self.net(x)
            return torch.cat([outputs, (DECAY * squares).expand(len(outputs), 1)], 1)

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        return case.loss(outputs[:, :-1], labels) + outputs[:, -1]

    return replace(case, model=WithSquares(), loss=loss)


RELATIONS = {
    "loss scaled": Relation(scaled, factor=FACTOR),
    "images permuted": Relation(images_permuted),
    "every image twice": Relation(data_doubled),
    "logits shifted": Relation(logits_shifted),
    "image weights scaled": Relation(weights_scaled),
    "c‖w‖² as weight decay": Relation(squares_added, shift=2 * DECAY),
    "c‖w‖² by the network": Relation(squares_written_out, shift=2 * DECAY),
    "hidden units permuted": Relation(
        lambda case: case.with_parameters(hidden_units_permuted),
        carry=lambda case, v: moved(case, v, hidden_units_permuted),
    ),
    "classes relabelled": Relation(
        relabelled, carry=lambda case, v: moved(case, v, outputs_permuted)
    ),
    "unused parameters": Relation(
        lambda case: replace(case, model=WithUnused(case.model)),
        # A module's own parameters come before those of its parts.
        carry=lambda case, v: torch.cat([torch.zeros(4, dtype=v.dtype), v]),
    ),
}
IN_PLACE = [name for name, relation in RELATIONS.items() if relation.carry is None]
