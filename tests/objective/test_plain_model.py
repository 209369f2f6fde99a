import pytest
import torch
from image_data import Compiled
from torch import nn

from spectra import InputError, class_hessian
from spectra.objective.plain_model import plain_model


def test_a_network_is_found_inside_its_wrappers():
    network = nn.Linear(2, 2)
    wrapped = Compiled(nn.DataParallel(network))
    assert plain_model(network) is network
    assert plain_model(wrapped) is network


def test_what_is_no_model_is_refused():
    with pytest.raises(InputError, match=r"model must be a torch\.nn\.Module, got function"):
        plain_model(lambda images: images)


@pytest.mark.parametrize("forward", [None, lambda model, images: 2 * model(images)])
def test_the_hessian_of_a_wrapped_network_is_that_of_the_network(forward):
    network, images, labels = nn.Linear(3, 2), torch.eye(3), [0, 1, 0]
    plain, wrapped = (
        class_hessian(model, images, labels, 0, forward=forward)
        for model in (network, Compiled(nn.DataParallel(network)))
    )
    assert wrapped.names == plain.names == ["weight", "bias"]
    assert torch.equal(wrapped.dense(), plain.dense())
