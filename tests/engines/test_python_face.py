"""What the functions give by default is what an analysis with default settings gives."""

import pytest
import torch
from oracles import build_net, images_and_labels

from spectra import (
    HessianOperator,
    InputError,
    PyHessianOperator,
    SolverSettings,
    analyze_loss,
    class_hessian,
    extreme_eigenpairs,
    slq,
)


def hessian(dtype=torch.float32):
    images, labels = images_and_labels(40)
    return class_hessian(build_net("conv_resnet").eval(), images, labels, 1, dtype=dtype)


@pytest.fixture(scope="module")
def record():
    op = hessian()
    return analyze_loss(op, label=op.label, classes=(1,), settings=SolverSettings())


def test_slq_gives_nodes_and_weights_of_the_analysis_to_the_bit(record):
    spectrum = slq(hessian())
    assert spectrum.nodes.tobytes() == record.spectrum.nodes.tobytes()
    assert spectrum.weights.tobytes() == record.spectrum.weights.tobytes()
    assert spectrum.probe == record.spectrum.probe


def test_extreme_eigenpairs_gives_values_and_residuals_of_the_analysis_to_the_bit(record):
    found = extreme_eigenpairs(hessian())
    assert (found.smallest.value, found.largest.value) == (record.lambda_min, record.lambda_max)
    residuals = found.smallest.residual_norm, found.largest.residual_norm
    assert residuals == (record.residual_min, record.residual_max)
    assert (found.steps, found.converged) == (record.steps, record.converged)
    assert torch.equal(found.smallest.vector, record.extremes.smallest.vector)


def test_another_seed_is_the_same_in_both():
    op = hessian()
    record = analyze_loss(op, label="1", classes=(1,), settings=SolverSettings(seed=7))
    assert slq(hessian(), seed=7).nodes.tobytes() == record.spectrum.nodes.tobytes()
    assert extreme_eigenpairs(hessian(), seed=7).largest.value == record.lambda_max


def test_values_are_of_float64_products_whatever_the_operators_precision():
    found, exact = extreme_eigenpairs(hessian()), hessian(torch.float64)
    assert found.proven
    y = found.largest.vector
    # One float64 product each, over other chunks.
    assert found.largest.value == pytest.approx(float(y @ exact.matvec(y)), rel=1e-12)


def test_without_proof_values_are_of_the_operators_own_products():
    assert not extreme_eigenpairs(hessian(), proof=False).proven


def test_a_gauss_newton_matrix_has_float64_products_too():
    op = hessian().gauss_newton()
    found = extreme_eigenpairs(op)
    assert found.proven
    largest = float(torch.linalg.eigvalsh(hessian(torch.float64).gauss_newton().dense())[-1])
    # Lanczos in float32 leaves an error of the square of its rounding.
    assert found.largest.value == pytest.approx(largest, rel=1e-8)


def test_pyhessian_over_several_inputs_is_refused_in_one_line():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 3)

        def forward(self, first, second):
            return self.layer(first + second)

    images, labels = torch.linspace(-1, 1, 24).reshape(6, 4), torch.arange(6) % 3
    op = HessianOperator(Two(), (images, images), labels)
    with pytest.raises(InputError, match=r"takes images as one tensor, got 0 float32 .6, 4., 1"):
        PyHessianOperator(op)
