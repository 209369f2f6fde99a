"""Which of what a network returns are its outputs: the Hessian is that of the very numbers."""

import logging
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from by_hand import DOUBLE, IMAGES, LABELS, Returns, assert_same, hessian_by_hand
from torch import nn

from spectra import HessianOperator, InputError, class_hessian
from spectra.objective.samples.outputs import find_outputs

HIDDEN = torch.zeros(2, 9)


class Property:
    """An answer whose logits are no attribute of the object."""

    def __init__(self, outputs):
        self._outputs = outputs

    @property
    def logits(self):
        return self._outputs


Z = torch.ones(2, 3)


@dataclass
class Answer:
    loss: object
    logits: object


WANTED = hessian_by_hand(Returns(), lambda net: F.cross_entropy(net(IMAGES.double()), LABELS))


@pytest.mark.parametrize(
    "make",
    [
        lambda z: (z, 2 * z),
        lambda z: [z],
        lambda z: (z.sum(), z),
        lambda z: ((z, 3 * z), z.exp()),
        lambda z: {"logits": z, "aux": 2 * z},
        lambda z: {"out": z, "aux": 2 * z},
        lambda z: {"scores": z},
        lambda z: SimpleNamespace(logits=z, hidden_states=(z.exp(),)),
        lambda z: Answer(loss=None, logits=z),
    ],
    ids=[
        "tuple",
        "list",
        "loss first",
        "nested",
        "logits",
        "out",
        "only one",
        "object",
        "dataclass",
    ],
)
@pytest.mark.parametrize("products", ["auto", "double-backward"])
def test_outputs_are_found_in_whatever_a_network_returns(make, products):
    H = HessianOperator(Returns(make), IMAGES, LABELS, dtype=DOUBLE, products=products)
    assert_same(H.dense(), WANTED)


@pytest.mark.parametrize(
    ("answer", "steps", "beside"),
    [
        (Z, (), ()),
        ((Z, HIDDEN), (0,), ("1",)),
        ({"logits": Z, "hidden": HIDDEN}, ("logits",), ("hidden",)),
        ({"predictions": Z, "features": HIDDEN}, ("predictions",), ("features",)),
        ({"heads": {"logits": Z, "aux": Z}}, ("heads", "logits"), ("aux",)),
        ({"logits": Z, "loss": torch.tensor(1.0)}, ("logits",), ()),
        (SimpleNamespace(logits=Z, loss=None), ("logits",), ()),
        (Property(Z), ("logits",), ()),
    ],
)
def test_the_place_of_the_outputs_and_what_is_beside_them(answer, steps, beside):
    found = find_outputs(answer, 2)
    assert (found.steps, found.beside) == (steps, beside)
    assert found.take(answer) is Z


def test_which_of_several_tensors_is_taken_is_said_once(caplog):
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        class_hessian(Returns(lambda z: {"preds": z, "boxes": 2 * z}), IMAGES, LABELS, 0)
    (said,) = [r.getMessage() for r in caplog.records if "boxes" in r.getMessage()]
    assert said.startswith("the network returns several tensors: preds is taken as its outputs")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda z: None, "got NoneType without one; give forward="),
        (lambda z: ("a", 1), "got tuple without one; give forward="),
        (lambda z: {"a": z, "b": z}, r"several tensors, a, b; give forward=.*\['a'\] to say which"),
        (lambda z: SimpleNamespace(a=z, b=z), "several tensors, a, b; give forward="),
    ],
)
def test_outputs_that_nobody_can_tell_ask_for_forward(make, message):
    with pytest.raises(InputError, match=message):
        class_hessian(Returns(make), IMAGES, LABELS, 0)


def test_forward_chooses_among_them():
    def half(model, batch):
        return model(batch)["b"] / 2

    net = Returns(lambda z: {"a": z.exp(), "b": 2 * z})
    H = HessianOperator(net, IMAGES, LABELS, forward=half, dtype=DOUBLE)
    assert_same(H.dense(), WANTED)


def test_what_forward_returns_may_hold_the_outputs_too():
    H = HessianOperator(
        Returns(lambda z: {"logits": z}), IMAGES, LABELS, forward=lambda m, x: m(x), dtype=DOUBLE
    )
    assert_same(H.dense(), WANTED)


def test_accuracy_scores_curvatures_and_gauss_newton_see_the_outputs():
    wrapped = HessianOperator(Returns(lambda z: {"logits": z}), IMAGES, LABELS, dtype=DOUBLE)
    plain = HessianOperator(Returns(), IMAGES, LABELS, dtype=DOUBLE)
    v = torch.linspace(-1, 1, plain.size, dtype=DOUBLE)
    assert wrapped.accuracy() == plain.accuracy()
    for ask in (
        lambda H: H.scores(),
        lambda H: H.curvatures(v[None]),
        lambda H: H.gauss_newton() @ v,
        lambda H: H.in_float64() @ v,
        lambda H: H.with_weights(torch.arange(6.0)) @ v,
        lambda H: H.over_images(torch.tensor([1, 4])) @ v,
    ):
        torch.testing.assert_close(ask(wrapped), ask(plain), rtol=1e-12, atol=1e-14)


class Squeezes(Returns):
    """Loses the first axis of a batch of one image."""

    def forward(self, images):
        return self.head(torch.tanh(self.body(images)).squeeze())


@pytest.mark.parametrize("count", [1, 4])
def test_a_network_that_squeezes_a_lone_image_is_right_on_it(count):
    images, labels = IMAGES[:count], LABELS[:count]
    H = HessianOperator(Squeezes(), images, labels, dtype=DOUBLE, micro_chunk=3)
    wanted = hessian_by_hand(Returns(), lambda net: F.cross_entropy(net(images.double()), labels))
    assert_same(H.dense(), wanted)
    assert 0 <= H.accuracy() <= 1
    assert H.scores().shape == (count,)


class NeedsTwo(Returns):
    """Loses the first axis of a batch of one image, and then fails."""

    def forward(self, images):
        hidden = torch.tanh(self.body(images)).squeeze()
        return self.head(torch.cat([hidden[:, :1], hidden[:, 1:]], 1))


@pytest.mark.parametrize("count", [1, 4])
def test_a_network_that_fails_on_a_lone_image_is_right_on_it(count):
    images, labels = IMAGES[:count], LABELS[:count]
    H = HessianOperator(NeedsTwo(), images, labels, dtype=DOUBLE, micro_chunk=3)
    wanted = hessian_by_hand(Returns(), lambda net: F.cross_entropy(net(images.double()), labels))
    assert_same(H.dense(), wanted)
    v = torch.linspace(-1, 1, H.size, dtype=DOUBLE)
    assert float(H.curvatures(v[None]).mean()) == pytest.approx(float(v @ (H @ v)), rel=1e-9)


@pytest.mark.parametrize(
    ("make", "shape"), [(lambda z: z.T, r"\(3, 2\)"), (lambda z: z.sum(), r"\(\)")]
)
def test_outputs_that_are_no_rows_are_named(make, shape):
    with pytest.raises(InputError, match=rf"one row an image, got {shape} for 2 images; give forw"):
        HessianOperator(Returns(make), IMAGES, LABELS)


@pytest.mark.parametrize(
    "make",
    [lambda z: z[:, None].expand(-1, 5, -1), lambda z: z[:, :, None, None]],
    ids=["positions", "planes"],
)
def test_outputs_of_each_position_are_named(make):
    with pytest.raises(InputError, match=r"outputs of shape .*; 2 images should give \(2, C\)"):
        class_hessian(Returns(make), IMAGES, LABELS, 0)


def test_a_loss_of_several_outputs_a_class_serves_them():
    def loss(outputs, labels):
        return F.cross_entropy(outputs[:, 0], labels, reduction="none") + outputs[:, 1].sum(1)

    net = Returns(lambda z: torch.stack([z, z * z], 1))
    H = HessianOperator(net, IMAGES, LABELS, loss=loss, dtype=DOUBLE)
    assert_same(
        H.dense(), hessian_by_hand(net, lambda net: loss(net(IMAGES.double()), LABELS).mean())
    )
    with pytest.raises(InputError, match=r"accuracy is of outputs \(n, C\), got \(6, 2, 3\)"):
        H.accuracy()


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Linear(5, 3), "cannot take these inputs: RuntimeError: mat1 and mat2 shapes cannot be"),
        (
            nn.Conv2d(3, 3, 1),
            r"cannot take these inputs: RuntimeError: .*; inputs are float32 \(2,",
        ),
        (nn.Embedding(4, 3), "cannot take these inputs: .*; inputs are float32"),
    ],
)
def test_a_network_that_cannot_take_the_inputs_is_named_in_one_line(net, message):
    with pytest.raises(InputError, match=message) as caught:
        class_hessian(net, IMAGES, LABELS, 0)
    assert "\n" not in str(caught.value)


def test_a_function_that_fails_is_named_in_one_line():
    with pytest.raises(InputError, match="forward= fails: KeyError: 'logits'; inputs are float32"):
        class_hessian(
            Returns(lambda z: {"a": z}), IMAGES, LABELS, 0, forward=lambda m, x: m(x)["logits"]
        )
