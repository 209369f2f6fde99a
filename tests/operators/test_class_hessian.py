"""The Hessian of the loss of some classes."""

import pytest
import torch
from oracles import (
    ULPS,
    dense_hessian,
    distance,
    hessian_of,
    random_vector,
)

from spectra import (
    HessianOperator,
    InputError,
    class_hessian,
)

DOUBLE = torch.float64


def test_class_hessians_weighted_by_their_counts_sum_to_the_whole(trained_net):
    images, labels = trained_net.images, trained_net.labels
    v = random_vector(len(trained_net.hessian), "v")
    total = torch.zeros_like(v)
    for c in range(3):
        part = class_hessian(trained_net.model, images, labels, c, dtype=DOUBLE)
        total += part.num_images / len(labels) * part.matvec(v)
    error = float((total - trained_net.hessian @ v).norm())
    assert error <= ULPS * trained_net.scale * float(v.norm())


def test_weighted_class_hessians_sum_to_the_weighted_whole(net):
    class_weights = torch.tensor([0.2, 1.0, 5.0], dtype=DOUBLE)
    counts = torch.bincount(net.labels)
    whole = hessian_of(net, weights=class_weights[net.labels], micro_chunk=5)
    v = random_vector(whole.size, "v")
    total = torch.zeros_like(v)
    for c in range(3):
        part = class_hessian(net.model, net.images, net.labels, c, dtype=DOUBLE)
        total += class_weights[c] * counts[c] * part.matvec(v)
    expected = total / (class_weights * counts).sum()
    assert float((whole.matvec(v) - expected).norm()) <= ULPS * 5 * net.scale * float(v.norm())


def test_a_class_weight_cancels_in_the_weighted_mean_of_one_class(net):
    keep = net.labels == 2
    images, labels = net.images[keep], net.labels[keep]
    plain = HessianOperator(net.model, images, labels, dtype=DOUBLE)
    # A power of two scales without rounding, so the two must agree to the last bit.
    weighted = HessianOperator(
        net.model, images, labels, dtype=DOUBLE, weights=torch.full((len(labels),), 8.0)
    )
    v = random_vector(plain.size, "v")
    assert torch.equal(plain.matvec(v), weighted.matvec(v))


def test_a_group_of_classes_is_the_mean_over_all_its_images(net):
    keep = net.labels != 1
    op = class_hessian(net.model, net.images, net.labels, (0, 2), dtype=DOUBLE)
    matrix = dense_hessian(net.model, net.images[keep], net.labels[keep])
    assert distance(op, matrix) <= ULPS * net.scale


def test_no_class_given_means_every_image(net):
    op = class_hessian(net.model, net.images, net.labels, None, dtype=DOUBLE)
    assert distance(op, net.hessian) <= ULPS * net.scale


def test_a_class_without_images_is_refused(net):
    with pytest.raises(InputError, match=r"\[7\]"):
        class_hessian(net.model, net.images, net.labels, 7)


def test_arrays_and_lists_are_taken_for_tensors(net):
    op = class_hessian(net.model, net.images, net.labels, 2, dtype=DOUBLE)
    images, labels = net.images.numpy(), net.labels.numpy().astype("int32")
    v = random_vector(op.size, "v")
    for given in (labels, labels.tolist()):
        same = class_hessian(net.model, images, given, labels[labels == 2][0], dtype=DOUBLE)
        assert torch.equal(same.matvec(v), op.matvec(v))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model": None}, "model must be a torch.nn.Module, got NoneType"),
        ({"images": None}, "images must be a tensor or an array of numbers, .* got NoneType"),
        (
            {"images": [[1.0], [2.0, 3.0]]},
            "images must be of one shape: setting an array element",
        ),
        ({"labels": None}, "labels must be a tensor or an array of integers, got NoneType"),
        ({"labels": torch.ones(22) > 0}, "labels must be a tensor of integers, got torch.bool"),
        ({"labels": [0.5] * 22}, "labels must be a tensor or an array of integers, got list"),
        ({"labels": [0, 1]}, r"labels must have shape \(22,\), one an image, got \(2,\)"),
        ({"classes": "2"}, "classes must be a label such as 8, .* got '2'"),
        ({"classes": 2.0}, "classes must be a label such as 8, .* got 2.0"),
        ({"classes": (0, None)}, r"classes must be a label such as 8, .* got \(0, None\)"),
        ({"classes": torch.tensor([0.0])}, "classes must be a label such as 8"),
    ],
)
def test_arguments_of_another_kind_are_refused_in_one_line(net, changes, complaint):
    given = {"model": net.model, "images": net.images, "labels": net.labels, "classes": 2}
    with pytest.raises(InputError, match=complaint) as error:
        class_hessian(**{**given, **changes})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("classes", "label"), [(2, "2"), ((0, 2), "0,2"), ([1], "1"), (None, "overall")]
)
def test_the_label_names_the_classes(net, classes, label):
    assert class_hessian(net.model, net.images, net.labels, classes).label == label


def test_memory_and_micro_chunk_are_those_of_the_operator(net):
    op = class_hessian(net.model, net.images, net.labels, 2, memory=12345, micro_chunk=4)
    assert (op.memory_budget, op.micro_chunk) == (12345, 4)
    assert op._kept.nbytes <= 12345


def test_an_operator_shows_what_it_is_of_and_its_size():
    model = torch.nn.Linear(3, 2)
    H = class_hessian(model, torch.ones(4, 3), torch.tensor([0, 1, 0, 1]), 1)
    assert repr(H) == "<HessianOperator of 1: 8 x 8, float32 on cpu>"
    assert repr(2 * H) == "<ScaledOperator of 1: 8 x 8, float32 on cpu>"
