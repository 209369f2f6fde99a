"""A class's own cross-entropy has no stationary point where the classifier has a bias."""

import pytest
import torch
from torch.nn.functional import cross_entropy, linear, normalize

from checkpoints import AnalysisRequest, load_checkpoint, load_data
from checkpoints.analysis.class_losses import Losses
from spectra import class_hessian, make_generator


@pytest.mark.parametrize("name", ["ce-drw", "vs-sam"])
@pytest.mark.parametrize("label", [0, 8])
def test_the_bias_of_a_class_lowers_its_loss_by_the_mean_of_what_is_left(name, label):
    losses = Losses.of(
        load_checkpoint(f"bundled:digits/{name}"), load_data(), AnalysisRequest(dtype="float64")
    )
    op = losses.prepare(str(label), (label,), check=False).op
    slope = op.named(op.gradient())["linear.bias"][label]
    with torch.no_grad():
        others = op.model(op.images).softmax(1).index_fill(1, torch.tensor(label), 0.0).sum(1)
    assert float(slope) < 0
    # float64, each side by sums in another order; 1 - p_c is summed over the other classes.
    assert float(slope) == pytest.approx(-float(others.mean()), rel=1e-9)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_it_does_so_at_any_weights(scale):
    generator = make_generator(0, "any weights")
    net = torch.nn.Linear(4, 3).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    images = torch.randn(9, 4, generator=generator).double()
    op = class_hessian(net, images, [0, 1, 2] * 3, 1, dtype=torch.float64)
    assert float(op.named(op.gradient())["bias"][1]) < 0


def test_bounded_logits_without_a_bias_are_another_matter():
    # Cosines: the class's own weight along the one feature, the others against it.
    feature = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    weights = torch.cat([feature, -feature, -2 * feature]).requires_grad_()
    loss = cross_entropy(linear(feature, normalize(weights)), torch.tensor([0]))
    (gradient,) = torch.autograd.grad(loss, weights)
    assert float(loss.detach()) > 0.1
    assert float(gradient.norm()) < 1e-15
