"""Formulas that stand for operations of torch: values and gradients are torch's own."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectra.errors import OperatorError
from spectra.objective.network.equal_formulas import FORMULAS
from spectra.objective.network.own_calls import OwnCalls

DOUBLE = torch.float64
X = torch.linspace(-4, 4, 24, dtype=DOUBLE).reshape(6, 4).sin() * 4
TABLE = torch.linspace(-1, 1, 20, dtype=DOUBLE).reshape(5, 4).cos()
TOKENS = torch.tensor([[0, 2, 2], [4, 1, 0]])
FLAT, OFFSETS = torch.tensor([0, 2, 2, 4, 1]), torch.tensor([0, 3, 3])
SHARES = torch.tensor([0.5, 1, 2, -1, 3], dtype=DOUBLE)

CALLS = {
    "hardsigmoid": (F.hardsigmoid, X),
    "hardsigmoid of torch's own": (torch._C._nn.hardsigmoid, X),
    "cdist": (lambda x: torch.cdist(x, x[:3] + 0.1), X),
    "cdist to itself": (lambda x: torch.cdist(x, x.detach()), X),
    "cdist by sums": (lambda x: torch.cdist(x, x[:3] + 0.1, p=1.0), X),
    "cdist of many": (lambda x: torch.cdist(x.repeat(9, 1), x.detach().repeat(9, 1) + 0.1), X),
    "pdist": (torch.pdist, X),
    "pdist by cubes": (lambda x: F.pdist(x, 3.0), X),
    "rows": (lambda w: F.embedding(TOKENS, w), TABLE),
    "rows with padding": (lambda w: F.embedding(TOKENS, w, padding_idx=-5), TABLE),
    "means of bags": (lambda w: F.embedding_bag(TOKENS, w), TABLE),
    "sums of bags with offsets": (
        lambda w: F.embedding_bag(FLAT, w, OFFSETS, mode="sum", per_sample_weights=SHARES), TABLE,
    ),
    "means of bags with the last offset": (
        lambda w: F.embedding_bag(FLAT, w, torch.tensor([0, 2, 5]), include_last_offset=True),
        TABLE,
    ),
    "maxima of bags, one empty": (lambda w: F.embedding_bag(FLAT, w, OFFSETS, mode="max"), TABLE),
    "means of bags with padding": (lambda w: F.embedding_bag(TOKENS, w, padding_idx=2), TABLE),
    "weight norm": (lambda v: torch._weight_norm(v, v.detach()[:, :1].exp(), 0), X),
}  # fmt: skip


def value_and_gradient(function, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    value = function(x)
    weights = torch.arange(value.numel(), dtype=DOUBLE).cos().view_as(value)
    return value.detach(), torch.autograd.grad((weights * value).sum(), x)[0]


@pytest.mark.parametrize("name", CALLS)
def test_a_formula_has_the_value_and_the_gradient_of_torch(name):
    function, x = CALLS[name]
    wanted = value_and_gradient(function, x)
    with OwnCalls(DOUBLE, torch.device("cpu")):
        found = value_and_gradient(function, x)
    # Sums of some ten terms. Torch takes distances of many rows by products, which cancel, and
    # the slope of its hardsigmoid is 1/6 in float32.
    loose = "many" in name or "hardsigmoid" in name
    torch.testing.assert_close(found, wanted, rtol=1e-7 if loose else 1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
def test_recurrent_layers_give_what_torch_gives(kind, dtype, batch_first):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = kind(4, 3, 2, bidirectional=True, batch_first=batch_first, dtype=dtype)
    x = X.reshape(2, 3, 4).to(dtype)
    wanted = layer(x)
    with OwnCalls(dtype, torch.device("cpu")):
        found = layer(x)
    torch.testing.assert_close(found, wanted)


def test_an_lstm_has_a_second_derivative_in_float32():
    layer, x = nn.LSTM(4, 3), torch.ones(2, 1, 4)
    with OwnCalls(torch.float32, torch.device("cpu")):
        loss = layer(x)[0].square().sum()
    gradients = torch.autograd.grad(loss, list(layer.parameters()), create_graph=True)
    assert all(g is not None for g in torch.autograd.grad(gradients[0].sum(), layer.parameters()))


def test_a_lookup_that_rescales_its_table_is_refused():
    with OwnCalls(DOUBLE, torch.device("cpu")), pytest.raises(OperatorError, match="max_norm"):
        F.embedding(TOKENS, TABLE, max_norm=0.1)


CASTS = {
    "float": lambda x: x.float(),
    "half": lambda x: x.half(),
    "to": lambda x: x.to(torch.float32),
    "to by keyword": lambda x: x.to(dtype=torch.bfloat16),
    "type": lambda x: x.type(torch.float32),
    "type by name": lambda x: x.type("torch.FloatTensor"),
    "softmax": lambda x: F.softmax(x, 1, dtype=torch.float32),
    "sum": lambda x: x.sum(1, dtype=torch.float32),
    "ones": lambda x: torch.ones(3),
    "a list": lambda x: torch.tensor([0.1, 0.2]),
    "integers as floats": lambda x: torch.arange(3).float(),
    "a range": lambda x: torch.arange(0.0, 1.0, 0.3),
}


@pytest.mark.parametrize("name", CASTS)
def test_what_a_network_casts_or_makes_is_in_the_precision_of_the_products(name):
    with OwnCalls(DOUBLE, torch.device("cpu")):
        found = CASTS[name](X)
    assert found.dtype == DOUBLE
    if name == "a list":
        assert found.tolist() == [0.1, 0.2]  # not rounded to float32 before


@pytest.mark.parametrize(
    ("make", "kept"),
    [
        (lambda: torch.arange(3), torch.int64),
        (lambda: torch.tensor([True]), torch.bool),
        (lambda: X.float().double(), DOUBLE),
        (lambda: torch.ones(2).view(torch.int32), torch.int32),
        (lambda: torch.zeros(2, dtype=torch.complex64), torch.complex64),
    ],
    ids=["integers", "truth values", "float64", "bits", "complex"],
)
def test_other_types_stay(make, kept):
    with OwnCalls(torch.float32, torch.device("cpu")):
        assert make().dtype == kept


def test_every_formula_is_of_an_operation_of_this_torch():
    assert all(callable(operation) for operation in FORMULAS)
