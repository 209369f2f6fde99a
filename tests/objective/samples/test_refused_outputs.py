"""What a network may not return, and the line that says what to do."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spectra import HessianOperator, InputError, OperatorError, analyze_classes, class_hessian

IMAGES, LABELS = torch.linspace(-1, 1, 24).reshape(6, 4), torch.tensor([0, 1, 2] * 2)


class Returns(nn.Module):
    """Returns what ``make`` makes of the outputs of a linear layer."""

    def __init__(self, make) -> None:
        super().__init__()
        self.layer, self.make = nn.Linear(4, 3), make

    def forward(self, images):
        return self.make(self.layer(images))


@pytest.mark.parametrize(
    ("make", "shape"),
    [(lambda z: z[:, :, None], r"\(2, 3, 1\)"), (lambda z: z[:, :, None, None], r"\(2, 3, 1, 1\)")],
)
def test_outputs_of_another_shape_are_named(make, shape):
    with pytest.raises(InputError, match=rf"shape {shape}; 2 images should give \(2, C\), which"):
        class_hessian(Returns(make), IMAGES, LABELS, 0)


@pytest.mark.parametrize(
    "make", [lambda z: z.detach(), lambda z: torch.zeros(len(z), 3)], ids=["detached", "constant"]
)
def test_a_loss_of_no_parameter_has_a_zero_hessian_which_is_said(make, caplog):
    H = class_hessian(Returns(make), IMAGES, LABELS, 0)
    assert not H.dense().any()
    assert "the loss depends on no trainable parameter" in caplog.text


def test_labels_beyond_the_outputs_are_named_whichever_class_has_them():
    with pytest.raises(InputError, match="labels up to 2, the model has 2 outputs"):
        analyze_classes(nn.Sequential(nn.Linear(4, 2)), (IMAGES, LABELS), [0, 2], num_steps=2)


def test_a_loss_without_second_derivative_is_named():
    loss = nn.MultiMarginLoss(reduction="none")
    with pytest.raises(OperatorError, match=r"operation multi_margin_loss .* no second derivative"):
        HessianOperator(nn.Linear(4, 3), IMAGES, LABELS, loss=loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "ce"}, "loss must be a function of outputs and labels, got 'ce'"),
        ({"loss": F.cross_entropy}, "use reduction='none'"),
        ({"forward": 3}, "forward must be a function of model and images, got 3"),
        ({"micro_chunk": True}, "micro_chunk must be an integer of at least 1, got True"),
        ({"micro_chunk": 1.5}, "micro_chunk must be an integer of at least 1, got 1.5"),
    ],
)
def test_what_is_no_function_or_number_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        class_hessian(nn.Linear(4, 3), IMAGES, LABELS, 0, **options)
