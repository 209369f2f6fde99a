import numpy as np
import pytest
import torch

from spectra import ClassSpectra, InputError, analyze_classes, make_generator
from spectra.classes.labels import as_labels, labels_named, losses_of, parts_of


@pytest.mark.parametrize(
    "given",
    [
        [0, 2, 1],
        (0, 2, 1),
        np.array([0, 2, 1], np.uint8),
        np.array([0, 2, 1], np.uint64),
        np.array([0, 2, 1], ">i4"),
        torch.tensor([0, 2, 1], dtype=torch.int32),
    ],
    ids=["list", "tuple", "array", "unsigned", "other byte order", "tensor"],
)
def test_labels_of_any_kind_become_int64(given):
    found = as_labels(given)
    assert found.dtype == torch.int64
    assert found.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.rand(3), "labels must be integers, one an image, got torch.float32 of shape"),
        (torch.zeros(3, 2, dtype=torch.long), r"one an image, got torch.int64 of shape \(3, 2\)"),
        ([0, -1], "labels must not be negative, got -1"),
        (["cat"], "labels must be integers"),
        ([True, False], "got bool"),
        (["cat"], r"got str_ such as .*'cat'.* of shape \(1,\)"),
        ([0, None], r"one an image, got int such as 0 of shape \(2,\)"),
        (torch.zeros(2, dtype=torch.complex64), "got torch.complex64"),
        ([10**9], "numbered from 0 .* 1,000,000,001 is more than the limit of classes"),
    ],
)
def test_what_is_no_label_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        as_labels(given)


@pytest.mark.parametrize(
    ("classes", "losses"),
    [
        ("all", {"0": (0,), "1": (1,), "2": (2,)}),
        ("overall", {"overall": (0, 1, 2)}),
        (2, {"2": (2,)}),
        ("2", {"2": (2,)}),
        (np.int64(1), {"1": (1,)}),
        ([2, 0], {"2": (2,), "0": (0,)}),
        (range(2), {"0": (0,), "1": (1,)}),
        (["overall", 1], {"overall": (0, 1, 2), "1": (1,)}),
        ({"tail": [1, 2], "head": (0,)}, {"tail": (1, 2), "head": (0,)}),
        ({"tail": [2, 2], "head": 0, "mid": "1"}, {"tail": (2,), "head": (0,), "mid": (1,)}),
        (np.array(1), {"1": (1,)}),
        (torch.tensor(1), {"1": (1,)}),
    ],
)
def test_classes_name_losses_in_their_order(classes, losses):
    found = losses_of(parts_of(classes), num_classes=3)
    assert found == losses
    assert list(found) == list(losses)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("most", "classes must be all, overall, labels such as 8"),
        ([], "got none"),
        ({}, "every group needs a class"),
        ({"tail": []}, "every group needs a class"),
        (-1, "must not be negative, got -1"),
        (1.5, "got 1.5"),
        (3, "class 3 does not exist; classes are 0..2"),
        (["overall", 7], "class 7 does not exist"),
        ({"tail": [2, 3]}, "class 3 does not exist"),
    ],
)
def test_a_class_that_does_not_exist_is_refused(classes, message):
    with pytest.raises(InputError, match=message):
        losses_of(parts_of(classes), num_classes=3)


def test_images_of_named_labels_alone_are_wanted():
    assert labels_named(parts_of([2, "0"])) == {0, 2}
    assert labels_named(parts_of({"tail": [1, 2]})) == {1, 2}
    assert labels_named(parts_of([2, "overall"])) is None


def _recorded(model, data):
    return ClassSpectra(data, classes=[2], num_steps=2).record(model, 5)


def _analyzed(model, data):
    return analyze_classes(model, data, [2], num_steps=2)


@pytest.mark.parametrize("look", [_analyzed, _recorded])
def test_labels_from_1_on_are_refused_though_the_class_asked_for_has_an_output(look):
    images, labels = torch.randn(30, 4, generator=make_generator(0, "x")), torch.arange(30) % 3
    with pytest.raises(InputError, match="labels up to 3, the model has 3 outputs"):
        look(torch.nn.Linear(4, 3), (images, labels + 1))
