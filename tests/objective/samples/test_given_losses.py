"""Losses as their owners have them: right in both precisions, or one line that says what to do."""

import functools
import logging

import pytest
import torch
import torch.nn.functional as F
from by_hand import DOUBLE, IMAGES, LABELS, Returns, assert_same, hessian_by_hand
from torch import Tensor, nn

from spectra import CrossEntropy, HessianOperator, InputError, OperatorError, analyze_classes

WEIGHT = torch.tensor([0.1, 0.7, 2.3])
BINARY = LABELS % 2


class Focal(nn.Module):
    """A focal loss with a plain tensor, which no conversion of a module reaches."""

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma, self.alpha = gamma, WEIGHT.clone()

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        log_p = F.log_softmax(outputs, 1).gather(1, labels[:, None])[:, 0]
        each = F.nll_loss(F.log_softmax(outputs, 1), labels, weight=self.alpha, reduction="none")
        return (1 - log_p.exp()) ** self.gamma * each


class Holder:
    """An object with a tensor, such as a loss of somebody who knows no modules."""

    def __init__(self) -> None:
        self.weight = WEIGHT

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(outputs, labels, weight=self.weight, reduction="none")

    def method(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return self(outputs, labels)


def closure(weight: Tensor):
    return lambda o, y: F.cross_entropy(o, y, weight=weight, reduction="none")


def adjusted(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs + WEIGHT.log(), labels, reduction="none")


LOSSES = {
    "module": nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2, reduction="none"),
    "focal": Focal(),
    "closure": closure(WEIGHT),
    "closure in float64": closure(WEIGHT.double()),
    "partial": functools.partial(F.cross_entropy, weight=WEIGHT, reduction="none"),
    "object": Holder(),
    "method": Holder().method,
    "global": adjusted,
    "module in a closure": (lambda m: lambda o, y: m(o, y))(Focal(1.0)),
    "casts": lambda o, y: F.cross_entropy(o.float(), y, weight=WEIGHT, reduction="none"),
    "matrix": lambda o, y: F.mse_loss(o @ torch.diag(WEIGHT), F.one_hot(y, 3) * WEIGHT,
                                      reduction="none").sum(1),
}  # fmt: skip


def in_double(loss):
    """Return the same loss with the tensors of this file in float64, called by hand."""
    double = {
        "module": nn.CrossEntropyLoss(
            weight=WEIGHT.double(), label_smoothing=0.2, reduction="none"
        ),
        "focal": _focal(2.0),
        "module in a closure": _focal(1.0),
        "global": lambda o, y: F.cross_entropy(o + WEIGHT.double().log(), y, reduction="none"),
        "matrix": lambda o, y: ((o * WEIGHT.double() - F.one_hot(y, 3) * WEIGHT.double()) ** 2).sum(
            1
        ),
    }
    return double.get(loss, closure(WEIGHT.double()))


def _focal(gamma: float):
    def focal(outputs: Tensor, labels: Tensor) -> Tensor:
        log_p = F.log_softmax(outputs, 1).gather(1, labels[:, None])[:, 0]
        return -((1 - log_p.exp()) ** gamma) * WEIGHT.double()[labels] * log_p

    return focal


@pytest.mark.parametrize("name", LOSSES)
def test_tensors_of_a_loss_are_in_the_precision_of_the_products(name):
    wanted = hessian_by_hand(
        Returns(), lambda net: in_double(name)(net(IMAGES.double()), LABELS).mean()
    )
    exact = HessianOperator(Returns(), IMAGES, LABELS, loss=LOSSES[name], dtype=DOUBLE)
    assert_same(exact.dense(), wanted)
    # Some ulp of float32 in the largest entry; of the logarithms as well.
    single = HessianOperator(Returns(), IMAGES, LABELS, loss=LOSSES[name])
    assert_same(single.dense().double(), wanted, 3e-6)
    assert_same(single.in_float64().dense(), wanted, 1e-12)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_torchs_cross_entropy_is_exact_where_images_are_fitted_to_rounding(weight):
    """There p_y is 1 in float32, and p_y - 1, by which torch's derivatives go, is 0."""
    net = Returns(lambda z: z + torch.tensor([0.0, 20.0, 0.0], dtype=z.dtype))
    images, labels = IMAGES[LABELS == 1], LABELS[LABELS == 1]
    loss = nn.CrossEntropyLoss(weight=weight, reduction="none")
    H = HessianOperator(net, images, labels, loss=loss)
    scale = 1.0 if weight is None else float(weight[1])
    wanted = scale * hessian_by_hand(
        net, lambda net: torch.logsumexp(_ahead(net(images.double())), 1).exp().log1p().mean()
    )
    # Some ulp of float32.
    assert_same(H.dense().double(), wanted, 1e-5)


def _ahead(outputs: Tensor) -> Tensor:
    """Return the outputs of the other classes less that of class 1."""
    return (outputs - outputs[:, 1:2])[:, [0, 2]]


@pytest.mark.parametrize("outputs", ["column", "flat"])
@pytest.mark.parametrize(
    "loss",
    [
        nn.BCEWithLogitsLoss(reduction="none", pos_weight=torch.tensor(3.0)),
        functools.partial(
            F.binary_cross_entropy_with_logits, reduction="none", pos_weight=torch.tensor(3.0)
        ),
        lambda o, y: torch.where(y == 1, 3 * F.softplus(-o), F.softplus(o)),
        lambda o, y: -3 * y * F.logsigmoid(o.squeeze(-1)) - (1 - y) * F.logsigmoid(-o.squeeze(-1)),
        # Stretched over all pairs of images, a column would pass for one value an image.
        lambda o, y: (3 * y * F.softplus(-o) + (1 - y) * F.softplus(o)).reshape(len(y), -1).mean(1),
    ],
    ids=["module", "partial", "function", "squeezes", "stretches"],
)
def test_a_single_output_goes_with_a_binary_loss(outputs, loss):
    net = Returns((lambda z: z) if outputs == "column" else (lambda z: z[:, 0]), outputs=1)

    def by_hand(net: nn.Module) -> Tensor:
        z, y = net(IMAGES.double()).reshape(-1), BINARY.double()
        return (3 * y * F.softplus(-z) + (1 - y) * F.softplus(z)).mean()

    H = HessianOperator(net, IMAGES, BINARY, loss=loss, dtype=DOUBLE, micro_chunk=5)
    assert_same(H.dense(), hessian_by_hand(net, by_hand))
    with torch.no_grad():
        positive = net(IMAGES).reshape(-1) > 0
    assert H.accuracy() == float((positive == BINARY.bool()).double().mean())
    v = torch.linspace(-1, 1, H.size, dtype=DOUBLE)
    curvatures = H.curvatures(v[None])
    assert float(curvatures.mean()) == pytest.approx(float(v @ (H @ v)), rel=1e-9)
    assert H.scores().shape == (6,)
    assert float(v @ (H.gauss_newton() @ v)) >= 0


@pytest.mark.parametrize("chunk", [1, 5])
@pytest.mark.parametrize(
    "loss",
    [
        lambda o, y: F.binary_cross_entropy_with_logits(o.squeeze(), y.float(), reduction="none"),
        lambda o, y: F.binary_cross_entropy_with_logits(o, y[:, None].float(), reduction="none"),
        lambda o, y: F.soft_margin_loss(o, 2.0 * y - 1, reduction="none"),
    ],
    ids=["squeezes a lone image", "a column", "signs"],
)
def test_a_lone_image_has_its_binary_loss(loss, chunk):
    net = Returns(outputs=1)

    def by_hand(net: nn.Module) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            net(IMAGES.double())[:, 0], BINARY.double(), reduction="mean"
        )

    H = HessianOperator(net, IMAGES, BINARY, loss=loss, dtype=DOUBLE, micro_chunk=chunk)
    assert_same(H.dense(), hessian_by_hand(net, by_hand))


def test_labels_are_numbers_where_only_the_gradient_of_a_loss_needs_them():
    net, loss = Returns(outputs=1), nn.HuberLoss(reduction="none", delta=0.5)
    H = HessianOperator(net, IMAGES, BINARY, loss=loss, dtype=DOUBLE)
    wanted = hessian_by_hand(
        net,
        lambda net: F.huber_loss(net(IMAGES.double())[:, 0], BINARY.double(), delta=0.5),
    )
    assert_same(H.dense(), wanted)


@pytest.mark.parametrize("loss", [nn.SoftMarginLoss(reduction="none"), nn.HingeEmbeddingLoss()])
def test_losses_of_signs_are_refused_with_what_to_write(loss):
    with pytest.raises(InputError, match=r"takes labels -1 and 1, .*2\.0 \* labels - 1"):
        HessianOperator(Returns(outputs=1), IMAGES, BINARY, loss=loss)


def test_accuracy_of_probabilities_is_judged_at_a_half():
    net = Returns(lambda z: torch.sigmoid(z[:, 0]), outputs=1)
    H = HessianOperator(net, IMAGES, BINARY, loss=nn.BCELoss(reduction="none"))
    with torch.no_grad():
        assert H.accuracy() == float(((net(IMAGES) > 0.5) == BINARY).double().mean())


@pytest.mark.parametrize("make", [lambda z: z, lambda z: z[:, 0]], ids=["column", "flat"])
@pytest.mark.parametrize(
    "loss", [None, CrossEntropy(2.0), nn.CrossEntropyLoss(reduction="none")], ids=str
)
def test_cross_entropy_of_a_single_output_is_refused_in_one_line(make, loss):
    with pytest.raises(InputError, match=r"single output, .*BCEWithLogitsLoss\(reduction='none'\)"):
        HessianOperator(Returns(make, outputs=1), IMAGES, LABELS * 0, loss=loss)


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (nn.CrossEntropyLoss(), r"one value an image, shape \(.\,\), got \(\); use reduction='n"),
        (nn.CrossEntropyLoss(reduction="sum"), r"got \(\); use reduction='none'"),
        (lambda o, y: o.sum(), r"got \(\); use reduction='none'"),
        (lambda o, y: F.cross_entropy(o, y)[None], r"got \(1,\); use reduction='none'"),
        (lambda o, y: 0.0, "got float; use reduction='none'"),
        (lambda o, y: (o, y), "got tuple; use reduction='none'"),
        (lambda o, y: o, r"got \(2, 3\); use reduction='none'"),
        (nn.CrossEntropyLoss, "loss must be a function of outputs and labels, got <class"),
        (lambda o: o, r"cannot take outputs \(2, 3\) and int64 labels \(2,\) .*TypeError"),
        (nn.BCEWithLogitsLoss(reduction="none"), r"cannot take .*: ValueError: Target size"),
        (nn.CosineEmbeddingLoss(), "cannot take outputs .* which returns one value an image"),
    ],
)
def test_losses_that_are_no_value_an_image_are_refused_in_one_line(loss, message, count):
    with pytest.raises(InputError, match=message) as caught:
        HessianOperator(Returns(), IMAGES[:count], LABELS[:count], loss=loss)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [1, 6])
def test_a_mean_that_is_spread_over_the_images_is_refused(count):
    def spread(outputs: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(outputs, labels).expand(len(labels))

    with pytest.raises(OperatorError, match="depends on the images beside it"):
        HessianOperator(Returns(), IMAGES[:count], LABELS[:count], loss=spread, micro_chunk=1)


def test_parameters_of_a_loss_stay_as_they_are_which_is_said(caplog):
    class Tempered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.temperature = nn.Parameter(torch.tensor(0.5))

        def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(outputs / self.temperature, labels, reduction="none")

    caplog.set_level(logging.WARNING)
    H = HessianOperator(Returns(), IMAGES, LABELS, loss=Tempered(), dtype=DOUBLE)
    wanted = hessian_by_hand(
        Returns(), lambda net: F.cross_entropy(net(IMAGES.double()) / 0.5, LABELS)
    )
    assert_same(H.dense(), wanted)
    assert "the loss has parameters, temperature: they stay as they are" in caplog.text


def test_images_that_a_loss_ignores_count_in_the_mean_which_is_said(caplog):
    caplog.set_level(logging.WARNING)
    loss = nn.CrossEntropyLoss(reduction="none", ignore_index=2)
    H = HessianOperator(Returns(), IMAGES, LABELS, loss=loss, dtype=DOUBLE)
    kept = LABELS != 2
    wanted = hessian_by_hand(
        Returns(),
        lambda net: F.cross_entropy(net(IMAGES.double())[kept], LABELS[kept], reduction="sum") / 6,
    )
    assert_same(H.dense(), wanted)
    assert "2 of 6 images have label 2, which the loss ignores: they count in the" in caplog.text


def test_a_class_of_one_image_has_its_hessian():
    images, labels = IMAGES[:1], LABELS[:1]
    for loss in (None, nn.CrossEntropyLoss(reduction="none"), Focal(0.0)):
        H = HessianOperator(Returns(), images, labels, loss=loss, dtype=DOUBLE)
        scale = float(WEIGHT.double()[0]) if isinstance(loss, Focal) else 1.0
        wanted = hessian_by_hand(
            Returns(),
            lambda net: scale * F.cross_entropy(net(images.double()), labels),  # noqa: B023
        )
        assert_same(H.dense(), wanted)


def test_an_analysis_takes_such_losses():
    loss = functools.partial(F.cross_entropy, weight=WEIGHT, reduction="none")
    found = analyze_classes(Returns(), (IMAGES, LABELS), [0], loss=loss, num_steps=3, num_probes=0)
    H = HessianOperator(Returns(), IMAGES[LABELS == 0], LABELS[LABELS == 0], loss=loss)
    assert found.record("0").lambda_max == pytest.approx(
        float(torch.linalg.eigvalsh(H.in_float64().dense())[-1]), rel=0.03
    )
