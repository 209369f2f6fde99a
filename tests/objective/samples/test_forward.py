"""Networks that are called in a way of their own, and keep the names of their parameters."""

import copy

import pytest
import torch
import torch.nn.functional as F
from oracles import ULPS, build_net, dense_hessian, images_and_labels, random_vector
from torch import Tensor, nn

from spectra import HessianOperator, class_hessian
from spectra.objective.samples.forward import WithForward

DOUBLE = torch.float64


class Answer:
    """What some libraries' networks return."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class ByKeyword(nn.Module):
    """A network with a parameter and a dropout of its own, and an answer in place of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.body = build_net("smooth_mlp")
        self.scale = nn.Parameter(torch.tensor([1.0, 0.5, 2.0]))

    def forward(self, *, pixels: Tensor) -> Answer:
        outputs = self.body(pixels) * self.scale
        return Answer(F.dropout(outputs, 0.5, training=self.training))


def logits(model: nn.Module, images: Tensor) -> Tensor:
    return model(pixels=images).logits


@pytest.fixture
def case() -> tuple[nn.Module, Tensor, Tensor]:
    return ByKeyword(), *images_and_labels(22)


@pytest.mark.parametrize("products", ["auto", "double-backward"])
def test_the_hessian_is_that_of_the_outputs_that_the_function_returns(case, products):
    model, images, labels = case

    class Plain(ByKeyword):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(pixels=images).logits

    plain = Plain()
    plain.load_state_dict(model.state_dict())
    op = HessianOperator(
        WithForward(model, logits), images, labels, dtype=DOUBLE, products=products, micro_chunk=5
    )
    matrix = dense_hessian(plain, images, labels)
    assert float((op.dense() - matrix).abs().max()) <= ULPS * float(matrix.abs().max()) * 10


def test_parameters_have_the_names_that_the_network_gives_them(case):
    model, images, labels = case
    op = class_hessian(model, images, labels, 1, forward=logits)
    assert op.names == [name for name, _ in model.named_parameters()]
    assert op.restrict("body.3.*").names == ("body.3.weight", "body.3.bias")


def test_a_function_that_calls_the_network_as_it_is_changes_no_product(case):
    _, images, labels = case
    model = build_net("conv_resnet")
    v = random_vector(sum(p.numel() for p in model.parameters()), "v")
    plain = class_hessian(model, images, labels, 1, dtype=DOUBLE)
    named = class_hessian(
        model, images, labels, 1, dtype=DOUBLE, forward=lambda model, images: model(images)
    )
    expected = plain @ v
    assert float((named @ v - expected).norm()) <= 1e-12 * float(expected.norm())


def test_the_callers_network_stays_as_it_was(case):
    model, images, labels = case
    model.train()
    before = copy.deepcopy(model.state_dict())
    op = class_hessian(model, images, labels, 1, forward=logits)
    op.matvec(torch.ones(op.size))
    assert model.training
    assert model.body.training
    torch.testing.assert_close(dict(model.state_dict()), dict(before), rtol=0, atol=0)


def test_other_ways_to_its_numbers_take_the_function_too(case):
    model, images, labels = case
    op = class_hessian(model, images, labels, 1, forward=logits, dtype=DOUBLE)
    v = random_vector(op.size, "v")
    curvature = float((op.curvatures(v[None])).mean())
    assert curvature == pytest.approx(float(v @ (op @ v)), rel=1e-9)
    single = class_hessian(model, images, labels, 1, forward=logits)
    product = single.in_float64() @ v
    assert float((product - op @ v).norm()) <= 1e-9 * float(product.norm())
    assert float(v @ (op.gauss_newton() @ v)) > 0


class OfPixels(nn.Module):
    """A small convolutional network with the face of a library's."""

    def __init__(self) -> None:
        super().__init__()
        self.net = build_net("conv_resnet")

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        outputs = self.net(pixel_values)
        return {"logits": outputs, "twice": 2 * outputs}


@pytest.mark.parametrize(
    ("face", "options"),
    [
        ("tensor", {}),
        ("dictionary", {}),
        ("tensor", {"forward": lambda model, x: model(pixel_values=x)}),
        ("tensor", {"forward": lambda model, x: model(x)["logits"]}),
    ],
    ids=["answer", "a lone input by name", "forward with an answer", "forward"],
)
def test_known_layers_are_read_through_the_face_of_a_network(face, options):
    images, labels = images_and_labels(22)
    plain = HessianOperator(build_net("conv_resnet"), images, labels)
    given = {"pixel_values": images} if face == "dictionary" else images
    H = HessianOperator(OfPixels(), given, labels, **options)
    assert H.choice == plain.choice
    assert H.choice.name == "tangent"
    v = random_vector(H.size, "v", dtype=torch.float32)
    assert torch.equal(H @ v, plain @ v)


def test_a_network_with_its_call_is_that_network_to_who_walks_its_modules():
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    called = WithForward(net, lambda model, batch: model(batch))
    assert [*called.children()] == [*net.children()]
    assert [*called.modules()] == [*net.modules()]
    assert called.state_dict().keys() == net.state_dict().keys()
    assert called.double().state_dict()["1.running_mean"].dtype == torch.float64
