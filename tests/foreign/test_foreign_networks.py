"""Products of networks that others write are those of an independent double backward."""

import functools

import attention_models
import convolutional_models
import mixing_models
import pytest
import recurrent_models
import torch
import unusual_models
from foreign_case import DOUBLE, batch_of, built, plain_products
from oracles import random_vector
from torch import Tensor

from spectra import HessianOperator, extreme_eigenpairs

CASES = (
    convolutional_models.CASES
    | attention_models.CASES
    | recurrent_models.CASES
    | mixing_models.CASES
    | unusual_models.CASES
)
# Of few parameters, and different in kind.
DENSE = ("SqueezeNet", "GRU", "state space", "prototypes", "Kolmogorov-Arnold", "casts",
         "reentrant checkpoint", "padded embedding")  # fmt: skip


def test_there_are_sixty_networks_at_least():
    assert len(CASES) >= 60


@functools.cache
def in_float64(name: str) -> tuple[HessianOperator, Tensor, Tensor]:
    """Return the operator, a vector, and its product by double backward."""
    case = CASES[name]
    model, (inputs, labels) = built(case), batch_of(case.inputs)
    # Unchecked: the checks are those in float32, and take most of the time.
    op = HessianOperator(model, inputs, labels, dtype=DOUBLE, check=False)
    v = random_vector(op.size, "v")
    return op, v, plain_products(case, model, inputs, labels)(v)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("name", CASES)
def test_a_product_is_that_of_double_backward(name):
    op, v, expected = in_float64(name)
    assert relative_error(op.matvec(v), expected) <= 1e-10


@pytest.mark.parametrize("name", CASES)
def test_a_product_in_float32_is_that_of_double_backward(name):
    case = CASES[name]
    _, v, expected = in_float64(name)
    op = HessianOperator(built(case), *batch_of(case.inputs))
    assert relative_error(op.matvec(v.float()), expected) <= case.single


@pytest.mark.parametrize("name", DENSE)
def test_the_extremes_are_those_of_the_dense_hessian(name):
    case = CASES[name]
    model, (inputs, labels) = built(case), batch_of(case.inputs)
    op = HessianOperator(model, inputs, labels, check=False)
    product = plain_products(case, model, inputs, labels)
    dense = torch.stack([product(row) for row in torch.eye(op.size, dtype=DOUBLE)])
    wanted = torch.linalg.eigvalsh((dense + dense.T) / 2)
    found = extreme_eigenpairs(op, tol=1e-4)
    scale = float(wanted.abs().max())
    # The error of a value is the square of that of its vector; the rest is float32 in the products.
    for pair, end in ((found.smallest, wanted[0]), (found.largest, wanted[-1])):
        assert abs(pair.value - float(end)) <= 1e-5 * scale


@pytest.mark.parametrize("name", CASES)
def test_a_second_derivative_is_that_of_double_backward(name):
    op, v, expected = in_float64(name)
    (found,), (size,) = op.second_derivatives(v[None])
    # Of the sum of the sizes of its terms: some thousand of them, in another order.
    assert abs(float(found - expected @ v)) <= 1e-12 * float(size)
