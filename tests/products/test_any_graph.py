"""Networks of any operations: the tangent pass gives the products of double backward."""

from collections.abc import Iterator

import pytest
import torch
from graph_nets import CASES, Block, Case, made, tokens
from oracles import cross_entropy, random_vector
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from spectra import HessianOperator
from spectra.products import Choice, Products, Tuning, make_products

# Relative to ‖H v‖: sums of some thousand terms in float64, each way in another order.
ROUNDING = 1e-10


def products(case: Case, way: str, **options) -> Products:
    return make_products(way, case.model, cross_entropy, Tuning(**options))


def summed(made: Products, case: Case, v: Tensor, chunk: int) -> Tensor:
    """Return H v by chunks, the last of which is smaller."""
    n = len(case.labels)
    weights = torch.linspace(0.5, 2, n, dtype=torch.float64)
    direction = made.direction(v)
    parts = [slice(i, min(i + chunk, n)) for i in range(0, n, chunk)]
    return sum(
        made.linearise(case.batch[part], case.labels[part], weights[part]).product(direction)
        for part in parts
    )


@pytest.fixture(params=sorted(CASES))
def case(request) -> Iterator[Case]:
    with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        yield CASES[request.param]()


def test_a_tangent_pass_gives_the_products_of_double_backward(case):
    v = random_vector(case.size, "v")
    expected = summed(products(case, "double-backward"), case, v, 5)
    found = summed(products(case, "tangent"), case, v, 3)
    assert float((found - expected).norm()) <= ROUNDING * float(expected.norm())


def test_vectors_taken_together_are_those_one_by_one(case):
    vectors = torch.stack([random_vector(case.size, i) for i in range(3)])
    made = products(case, "tangent")
    expected = torch.stack([summed(made, case, v, 5) for v in vectors])
    found = summed(made, case, vectors, 5)
    assert float((found - expected).norm()) <= ROUNDING * float(expected.norm())


def test_frozen_parameters_leave_the_products_of_the_others(case):
    for i, parameter in enumerate(case.model.parameters()):
        parameter.requires_grad_(i % 3 != 1)
    v = random_vector(case.size, "v")
    expected = summed(products(case, "double-backward"), case, v, 5)
    found = summed(products(case, "tangent"), case, v, 5)
    assert float((found - expected).norm()) <= ROUNDING * float(expected.norm())


class Answer:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class TwoInputs(nn.Module):
    """Takes tokens and a mask by keyword, has options, and returns an object."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.body = nn.Embedding(11, 6), Block(6)
        self.head = nn.Linear(6, 3)

    def forward(self, input_ids: Tensor, mask: Tensor | None = None, scale: float = 1.0) -> Answer:
        x = self.body(self.tokens(input_ids))
        if mask is not None:
            x = x * mask[..., None]
        return Answer(self.head(x.mean(1)) * scale)


def test_inputs_by_name_and_options_of_the_forward_pass_are_read():
    model = made(TwoInputs, tokens)().model
    ids = tokens()
    op = HessianOperator(
        model, {"input_ids": ids, "mask": ids > 3}, torch.arange(5) % 3, dtype=torch.float64,
        micro_chunk=3,
    )  # fmt: skip
    assert op.choice == Choice("tangent")


def test_weights_are_not_counted_as_work_that_is_kept():
    wide = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 2000), nn.GELU(), nn.Linear(2000, 3))
    made_products = make_products("tangent", wide.double().eval(), cross_entropy)
    image, label, weight = torch.ones(1, 8).double(), torch.tensor([0]), torch.ones(1).double()
    kept = made_products.linearise(image, label, weight).nbytes
    assert kept < sum(8 * p.numel() for p in wide.parameters())


class Remembers(nn.Module):
    """Branches on a size, and computes with what it keeps of the call."""

    def forward(self, x: Tensor) -> Tensor:
        self.scale = x.amax((1, 2, 3), keepdim=True) if x.shape[-1] > 1 else 1.0
        return x / self.scale


def test_modules_that_may_keep_something_of_a_call_are_called_by_one_thread():
    layers = nn.Conv2d(3, 4, 3), Remembers(), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(144, 3)
    plain = nn.Sequential(*(layer for layer in layers if not isinstance(layer, Remembers)))
    found = [
        make_products("tangent", model.double().eval(), cross_entropy).on_many_cores
        for model in (nn.Sequential(*layers), plain)
    ]
    assert found == [False, True]
