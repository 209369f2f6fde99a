"""Networks whose forward pass makes floats of integers, draws numbers, or takes constants."""

import pytest
import torch
import torch.nn.functional as F
from oracles import cross_entropy
from torch import Tensor, nn

from spectra import HessianOperator

DOUBLE = torch.float64
RNG = torch.Generator().manual_seed(0)
IDS = torch.randint(0, 10, (12, 7), generator=RNG)
X, Y = torch.randn(12, 6, generator=RNG), torch.arange(12) % 3
IMAGES = torch.randint(0, 256, (12, 1, 5, 5), generator=RNG).to(torch.uint8)


class Net(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.a, self.b, self.t = nn.Linear(6, 5), nn.Linear(5, 3), nn.Linear(7, 5)
        self.e, self.c = nn.Embedding(10, 5), nn.Conv2d(1, 5, 5)
        self.w = nn.Parameter(torch.randn(10, 5))
        self.register_buffer("table", torch.eye(5).to_sparse())

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.function(self, x).tanh())


def drawn() -> Tensor:
    return torch.randn(5, 5, generator=torch.Generator().manual_seed(0))


FEW = torch.tensor([[0.5, 1, 2, 0, 1]] * 5)
# Its input, what it does with it, and the same in float64 throughout.
NETS = {
    "masked means": (
        IDS,
        lambda s, i: torch.bmm(((i != 3) / (i != 3).sum(1, keepdim=True))[:, None], s.e(i))[:, 0],
        lambda s, i: (s.e(i) * (i != 3)[..., None]).sum(1) / (i != 3).sum(1, keepdim=True),
    ),
    "masked means by einsum": (
        IDS, lambda s, i: torch.einsum("nl,nlc->nc", (i > 3) / 7, s.e(i)),
        lambda s, i: torch.einsum("nl,nlc->nc", (i > 3).double() / 7, s.e(i)),
    ),
    "bytes as images": (
        IMAGES, lambda s, x: s.c(x / 255)[..., 0, 0], lambda s, x: s.c(x.double() / 255)[..., 0, 0],
    ),
    "tokens as numbers": (IDS, lambda s, i: s.t(i / 10), lambda s, i: s.t(i.double() / 10)),
    "a mask as numbers": (
        IDS, lambda s, i: s.t((i > 3) * 0.5), lambda s, i: s.t((i > 3).double() * 0.5),
    ),
    "roots": (IDS, lambda s, i: s.t(torch.sqrt(i)), lambda s, i: s.t(i.double().sqrt())),
    "counts": (
        IDS, lambda s, i: F.one_hot(i, 10).sum(1) / 5 @ s.w,
        lambda s, i: F.one_hot(i, 10).sum(1).double() / 5 @ s.w,
    ),
    "weights by place": (
        IDS,
        lambda s, i: torch.einsum("l,nlc->nc", (torch.arange(7) * -0.5).softmax(0), s.e(i)),
        lambda s, i: torch.einsum(
            "l,nlc->nc", torch.softmax(torch.arange(7).double() * -0.5, 0), s.e(i)
        ),
    ),
    "a grid": (
        X, lambda s, x: s.a(x) @ ((torch.arange(5) / 5)[:, None] @ torch.ones(1, 5)),
        lambda s, x: s.a(x) @ ((torch.arange(5).double() / 5)[:, None].expand(5, 5)),
    ),
    "a legacy tensor": (
        X, lambda s, x: s.a(x) @ torch.FloatTensor([[0.5, 1, 2, 0, 1]] * 5),
        lambda s, x: s.a(x) @ FEW.double(),
    ),
    "another": (
        X, lambda s, x: F.linear(s.a(x), torch.Tensor([[0.5, 1, 2, 0, 1]] * 5)),
        lambda s, x: s.a(x) @ FEW.double().T,
    ),
    "a closure": (X, lambda s, x: s.a(x) @ FEW, lambda s, x: s.a(x) @ FEW.double()),
    "a sparse constant": (
        X, lambda s, x: torch.sparse.mm(s.table, s.a(x).T).T,
        lambda s, x: s.a(x) @ s.table.to_dense().T,
    ),
    "compressed rows": (
        X, lambda s, x: (s.table.to_sparse_csr() @ s.a(x).T).T,
        lambda s, x: s.a(x) @ s.table.to_dense().T,
    ),
    "a slope": (
        X, lambda s, x: torch.func.grad(lambda y: s.a(y).sin().sum())(x) @ s.w[:6],
        lambda s, x: s.a(x).cos() @ s.a.weight @ s.w[:6],
    ),
    "draws": (X, lambda s, x: s.a(x) @ drawn(), lambda s, x: s.a(x) @ drawn().double()),
    "draws of a given type": (
        X, lambda s, x: s.a(x) @ torch.randn(
            5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float32
        ),
        lambda s, x: s.a(x) @ drawn().double(),
    ),
}  # fmt: skip


def built(function) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net(function)


def true_product(function, x: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Return loss and product of a network in float64, by double backward."""
    net = built(function).double()
    if x.is_floating_point():
        x = x.double()
    leaves = list(net.parameters())
    loss = cross_entropy(net(x), Y).mean()
    first = torch.autograd.grad(loss, leaves, create_graph=True, materialize_grads=True)
    slope = torch.cat([g.flatten() for g in first]) @ direction
    second = torch.autograd.grad(slope, leaves, materialize_grads=True)
    return loss.detach(), torch.cat([g.flatten() for g in second])


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("name", NETS)
def test_what_a_pass_makes_has_the_precision_of_the_products(name, dtype):
    x, function, reference = NETS[name]
    op = HessianOperator(built(function), x, Y, dtype=dtype, micro_chunk=12)
    v = torch.linspace(-1, 1, op.size, dtype=DOUBLE).sin()
    loss, product = true_product(reference, x, v)
    # What is made of integers is rounded to float32, as in the network itself.
    torch.testing.assert_close(
        op.matvec(v.to(dtype)).double(), product, rtol=2e-5, atol=1e-6 * float(product.abs().max())
    )
    assert abs(op.loss() - float(loss)) < 1e-6


def test_a_cache_that_the_network_filled_before_serves_both():
    made: dict[int, Tensor] = {}

    def turned(s: Net, x: Tensor) -> Tensor:
        if 5 not in made:
            made[5] = torch.outer(torch.arange(5) / 7, torch.ones(5)).cos()
        return s.a(x) @ made[5]

    net = built(turned).eval()
    before = net(X)
    op = HessianOperator(net, X, Y, dtype=DOUBLE)
    v = torch.ones(op.size, dtype=DOUBLE)
    wanted = true_product(lambda s, x: s.a(x) @ made[5].double(), X, v)[1]
    torch.testing.assert_close(op.matvec(v), wanted, rtol=1e-9, atol=1e-12)
    assert torch.equal(net(X), before)


@pytest.mark.parametrize("name", ["masked means", "tokens as numbers", "counts", "roots"])
def test_a_tangent_pass_reads_what_is_made_of_integers(name):
    x, function, reference = NETS[name]
    op = HessianOperator(built(function), x, Y, dtype=DOUBLE, products="tangent")
    v = torch.linspace(-1, 1, op.size, dtype=DOUBLE).sin()
    # Rounded to float32 as above.
    torch.testing.assert_close(op.matvec(v), true_product(reference, x, v)[1], rtol=2e-5, atol=1e-6)
