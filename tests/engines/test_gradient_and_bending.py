"""What an analysis says of the gradient and of bending, beside the ends of the spectrum."""

import pytest
import torch
from oracles import build_net, cross_entropy, images_and_labels, train

from spectra import SolverSettings, analyze_loss, class_hessian

SETTINGS = {"num_probes": 0, "bending": False}


@pytest.fixture(scope="module")
def fitted():
    """A net whose class 1 has a small loss: float32 gradients lose the most there."""
    images, labels = images_and_labels(30)
    return train(build_net("smooth_mlp"), images, labels, steps=400, lr=1.0), images, labels


def exact_norm(net, images, labels) -> float:
    """Return ‖g‖ of class 1 by autograd in float64 on the whole batch."""
    double = build_net("smooth_mlp").double()
    double.load_state_dict(net.state_dict())
    loss = cross_entropy(double(images[labels == 1].double()), labels[labels == 1]).mean()
    gradients = torch.autograd.grad(loss, list(double.parameters()))
    return float(torch.cat([g.reshape(-1) for g in gradients]).norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_the_gradient_is_that_of_float64_within_its_stated_error(fitted, dtype, factor):
    op = class_hessian(*fitted, 1, dtype=dtype)
    found = analyze_loss(
        op, label="1", classes=(1,), factor=factor, settings=SolverSettings(**SETTINGS)
    )
    exact = factor * exact_norm(*fitted)
    assert found.grad_norm_error is not None
    assert abs(found.grad_norm - exact) <= found.grad_norm_error <= 1e-9 * exact


def test_a_gradient_of_float32_states_no_error(fitted):
    op = class_hessian(*fitted, 1)
    settings = SolverSettings(**SETTINGS, proof=False)
    found = analyze_loss(op, label="1", classes=(1,), settings=settings)
    assert found.grad_norm_error is None
    assert found.grad_norm == pytest.approx(exact_norm(*fitted), rel=1e-3)


def test_bending_is_measured_unless_it_is_left_out(fitted):
    op = class_hessian(*fitted, 1)
    without, with_it = (
        analyze_loss(
            op,
            label="1",
            classes=(1,),
            factor=0.5,
            radius=0.2,
            settings=SolverSettings(num_probes=0, bending=bending),
        )
        for bending in (False, True)
    )
    assert without.bending is None
    assert with_it.bending is not None
    assert with_it.bending.radius == 0.2
    assert with_it.bending.loss == pytest.approx(with_it.loss, rel=1e-5)


def test_the_gauss_newton_matrix_has_no_bending(fitted):
    op = class_hessian(*fitted, 1).gauss_newton()
    found = analyze_loss(op, label="1", classes=(1,), settings=SolverSettings(num_probes=0))
    assert found.bending is None
