"""The conformance suite: every operator is the symmetric matrix that it claims to be."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from oracles import dense_hessian, random_vector, symmetric_with_spectrum
from scipy.sparse.linalg import eigsh
from torch import Tensor

from spectra import (
    DenseOperator,
    HessianOperator,
    InputError,
    LambdaOperator,
    PyHessianOperator,
    ScaledOperator,
    SymmetricOperator,
    make_generator,
)

# Relative to max|λ|. Rounding of one product on these nets is a few ulp: 1e-16 and 1e-7 were
# measured; a sample counted twice among 22, or one left out, moves H by more than 1e-2.
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6}


@dataclass(frozen=True)
class Case:
    op: SymmetricOperator
    matrix: Tensor

    @property
    def scale(self) -> float:
        return float(torch.linalg.matrix_norm(self.matrix, 2))

    def bound(self, *vectors: Tensor) -> float:
        return TOLERANCE[self.op.dtype] * self.scale * sum(float(v.norm()) for v in vectors)


PLAIN = ["dense", "lambda", "scaled"]
# 22 images in chunks of 5 leave a last chunk of 2.
HESSIANS = [
    f"{engine}-{net}-{bits}"
    for engine in ("hessian", "pyhessian")
    for net in ("smooth_mlp", "conv_resnet")
    for bits in (32, 64)
]
WEIGHTED = ["hessian-weighted", "pyhessian-weighted", "hessian-scaled"]


@pytest.fixture(params=PLAIN + HESSIANS + WEIGHTED)
def case(request, trained_nets) -> Case:
    kind = request.param
    if kind in PLAIN:
        matrix = symmetric_with_spectrum(torch.linspace(-3, 5, 17), seed=0)
        dense = DenseOperator(matrix)
        return {
            "dense": Case(dense, matrix),
            "lambda": Case(LambdaOperator(lambda v: matrix @ v, 17), matrix),
            "scaled": Case(ScaledOperator(dense, -0.25), -0.25 * matrix),
        }[kind]
    engine, name, *bits = kind.split("-")
    net = trained_nets["smooth_mlp" if name in ("weighted", "scaled") else name]
    dtype = torch.float32 if bits == ["32"] else torch.float64
    weights = None
    matrix = net.hessian
    if name == "weighted":
        weights = torch.rand(22, generator=make_generator(0, "sample weights")) + 0.1
        matrix = dense_hessian(net.model, net.images, net.labels, weights=weights)
    op: SymmetricOperator = HessianOperator(
        net.model, net.images, net.labels, weights=weights, dtype=dtype, micro_chunk=5
    )
    if name == "scaled":
        return Case(ScaledOperator(op, 3.0), 3.0 * matrix)
    return Case(PyHessianOperator(op) if engine == "pyhessian" else op, matrix)


def vectors(case: Case) -> tuple[Tensor, Tensor]:
    size, dtype = case.op.size, case.op.dtype
    return random_vector(size, "u", dtype=dtype), random_vector(size, "v", dtype=dtype)


def test_matches_the_dense_matrix(case):
    for v in vectors(case):
        error = case.op.matvec(v).double() - case.matrix @ v.double()
        assert float(error.norm()) <= case.bound(v)


def test_is_linear(case):
    u, v = vectors(case)
    combined = case.op.matvec(2 * u - 0.5 * v).double()
    apart = 2 * case.op.matvec(u).double() - 0.5 * case.op.matvec(v).double()
    assert float((combined - apart).norm()) <= case.bound(2 * u, v)


def test_is_symmetric(case):
    u, v = vectors(case)
    gap = float(v.double() @ case.op.matvec(u).double() - u.double() @ case.op.matvec(v).double())
    assert abs(gap) <= case.bound(u) * float(v.norm())


def test_maps_zero_to_zero(case):
    zero = torch.zeros(case.op.size, dtype=case.op.dtype)
    assert torch.equal(case.op.matvec(zero), zero)


def test_repeats_a_product_bit_for_bit(case):
    u, v = vectors(case)
    first = case.op.matvec(u)
    case.op.matvec(v)
    assert torch.equal(case.op.matvec(u), first)


def test_returns_its_own_shape_dtype_and_device(case):
    v, _ = vectors(case)
    product = case.op.matvec(v)
    assert (product.shape, product.dtype, product.device) == (v.shape, case.op.dtype, v.device)


def test_returns_no_graph(case):
    assert not case.op.matvec(vectors(case)[0]).requires_grad


def test_leaves_the_vector_as_it_was(case):
    v, _ = vectors(case)
    before = v.clone()
    case.op.matvec(v)
    assert torch.equal(v, before)


def test_refuses_a_vector_of_another_shape(case):
    size = case.op.size
    for shape in [(size + 1,), (size, 1), (1, size), ()]:
        with pytest.raises(InputError, match=rf"\({size},\)"):
            case.op.matvec(torch.zeros(shape, dtype=case.op.dtype))


def test_to_scipy_agrees(case):
    v = vectors(case)[0].double()
    product = case.op.to_scipy() @ v.numpy()
    np.testing.assert_array_equal(product, case.op.matvec(v.to(case.op.dtype)).double().numpy())


def test_to_scipy_serves_an_eigensolver(case):
    start = vectors(case)[0].double().numpy()
    found = eigsh(case.op.to_scipy(), k=1, which="LA", v0=start, return_eigenvectors=False)
    exact = float(torch.linalg.eigvalsh(case.matrix)[-1])
    # ARPACK iterates to rounding of float64; in float32 its answer is as good as a product.
    assert abs(found[0] - exact) <= 10 * TOLERANCE[case.op.dtype] * case.scale


def test_to_scipy_takes_a_read_only_vector():
    op = DenseOperator(torch.eye(3, dtype=torch.float64))
    v = np.ones(3)
    v.flags.writeable = False
    np.testing.assert_array_equal(op.to_scipy() @ v, np.ones(3))


def test_dense_returns_the_matrix():
    matrix = symmetric_with_spectrum(torch.linspace(-1, 1, 6), seed=1)
    assert torch.equal(DenseOperator(matrix).dense(), matrix)


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        (torch.ones(2, 3), "square"),
        (torch.ones(3), "square"),
        (torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), "symmetric"),
    ],
    ids=["oblong", "vector", "antisymmetric"],
)
def test_dense_operator_refuses_what_is_no_symmetric_matrix(matrix, problem):
    with pytest.raises(InputError, match=problem):
        DenseOperator(matrix)
