"""The conformance suite: every operator is the symmetric matrix that it claims to be."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from oracles import dense_gauss_newton, dense_hessian, random_vector, symmetric_with_spectrum
from scipy.sparse.linalg import eigsh
from torch import Tensor

from spectra import (
    DenseOperator,
    FreshOperator,
    HessianOperator,
    InputError,
    LambdaOperator,
    LazyImages,
    PyHessianOperator,
    ScaledOperator,
    SymmetricOperator,
    class_hessian,
    make_generator,
)
from spectra.products import Tuning

# Relative to max|λ|. Rounding of one product on these nets is a few ulp: 1e-16 and 1e-7 were
# measured; a sample counted twice among 22, or one left out, moves H by more than 1e-2.
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6}
DOUBLE = torch.float64


@dataclass(frozen=True)
class Case:
    op: SymmetricOperator
    matrix: Tensor

    @property
    def scale(self) -> float:
        return float(torch.linalg.matrix_norm(self.matrix, 2))

    def bound(self, *vectors: Tensor) -> float:
        return TOLERANCE[self.op.dtype] * self.scale * sum(float(v.norm()) for v in vectors)


MATRIX = symmetric_with_spectrum(torch.linspace(-3, 5, 17), seed=0)
OTHER = symmetric_with_spectrum(torch.linspace(-1, 2, 17), seed=1)
PLAIN: dict[str, Callable[[], Case]] = {
    "dense": lambda: Case(DenseOperator(MATRIX), MATRIX),
    "lambda": lambda: Case(LambdaOperator(lambda v: MATRIX @ v, 17), MATRIX),
    "scaled": lambda: Case(ScaledOperator(DenseOperator(MATRIX), -0.25), -0.25 * MATRIX),
    "multiple": lambda: Case(np.float32(3) * DenseOperator(MATRIX) * 0.5, 1.5 * MATRIX),
    "difference": lambda: Case(DenseOperator(MATRIX) - DenseOperator(OTHER), MATRIX - OTHER),
}


def hessian(net, images=None, **options) -> HessianOperator:
    """Return the Hessian in float64; 22 images in chunks of 5 leave a last chunk of 2."""
    options = {"dtype": DOUBLE, "micro_chunk": 5, **options}
    return HessianOperator(
        net.model, net.images if images is None else images, net.labels, **options
    )


def weighted(net) -> tuple[HessianOperator, Tensor]:
    weights = torch.rand(22, generator=make_generator(0, "sample weights")) + 0.1
    matrix = dense_hessian(net.model, net.images, net.labels, weights=weights)
    return hessian(net, weights=weights), matrix


def part(net) -> Case:
    index = torch.tensor([20, 3, 4, 11, 0, 7, 15])
    matrix = dense_hessian(net.model, net.images[index], net.labels[index])
    return Case(hessian(net).over_images(index), matrix * 7 / 22)


def rest(net) -> Case:
    op = hessian(net)
    matrix = dense_gauss_newton(net.model, net.images, net.labels)
    return Case(op - op.gauss_newton(), net.hessian - matrix)


def block(net) -> Case:
    op = hessian(net).restrict("*.bias")
    names = [(n, p.numel()) for n, p in net.model.named_parameters()]
    kept = torch.cat([torch.full((size,), name in op.names) for name, size in names])
    return Case(op, net.hessian[kept][:, kept])


def gauss_newton(net, dtype: torch.dtype) -> Case:
    matrix = dense_gauss_newton(net.model, net.images, net.labels)
    return Case(hessian(net, dtype=dtype).gauss_newton(), matrix)


PRECISE: dict[str, Callable[..., Case]] = {
    "hessian": lambda net, dtype: Case(hessian(net, dtype=dtype), net.hessian),
    "pyhessian": lambda net, dtype: Case(PyHessianOperator(hessian(net, dtype=dtype)), net.hessian),
    "gauss-newton": gauss_newton,
}
NETWORKS: dict[str, Callable[..., Case]] = {
    **{
        f"{kind}-{bits}": lambda net, make=make, dtype=dtype: make(net, dtype)
        for kind, make in PRECISE.items()
        for bits, dtype in ((32, torch.float32), (64, DOUBLE))
    },
    "rest": rest,
    "block": block,
    "part": part,
}
# Of one net alone.
MORE: dict[str, Callable[..., Case]] = {
    **{
        way: lambda net, way=way: Case(hessian(net, products=way), net.hessian)
        for way in ("tangent", "double-backward")
    },
    "stacked": lambda net: Case(hessian(net, tuning=Tuning(stacked=2)), net.hessian),
    "in-float64": lambda net: Case(hessian(net, dtype=torch.float32).in_float64(), net.hessian),
    "lazy": lambda net: Case(hessian(net, LazyImages(net.images.__getitem__, 22)), net.hessian),
    "fresh": lambda net: Case(FreshOperator(hessian(net), lambda: net.images), net.hessian),
    "weighted": lambda net: Case(*weighted(net)),
    "pyhessian-weighted": lambda net: Case(PyHessianOperator(weighted(net)[0]), weighted(net)[1]),
    "hessian-scaled": lambda net: Case(ScaledOperator(hessian(net), 3.0), 3.0 * net.hessian),
}
CASES = [
    *PLAIN,
    *(f"{kind} of {net}" for kind in NETWORKS for net in ("smooth_mlp", "conv_resnet")),
    *(f"{kind} of smooth_mlp" for kind in MORE),
]


@pytest.fixture(params=CASES, scope="module")
def case(request, trained_nets) -> Case:
    kind, _, name = request.param.partition(" of ")
    return PLAIN[kind]() if not name else (NETWORKS | MORE)[kind](trained_nets[name])


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


def test_columns_and_rows_of_several_vectors_are_their_products(case):
    u, v = vectors(case)
    expected = torch.stack([case.op.matvec(u), case.op.matvec(v)])
    for found in (case.op.matmat(torch.stack([u, v])), (case.op @ torch.stack([u, v], 1)).T):
        assert float((found - expected).double().norm()) <= case.bound(u, v)
    assert torch.equal(case.op @ u, expected[0])


def test_the_block_product_of_scipy_is_that_of_its_columns(case):
    columns = torch.stack(vectors(case), 1).double()
    found = torch.from_numpy(case.op.to_scipy() @ columns.numpy())
    expected = torch.stack([case.op.matvec(c.to(case.op.dtype)) for c in columns.T], 1).double()
    assert float((found - expected).norm()) <= case.bound(*columns.T)


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


OF_A_LOSS = {
    "hessian": lambda op: op,
    "gauss-newton": lambda op: op.gauss_newton(),
    "rest": lambda op: op - op.gauss_newton(),
    "block": lambda op: op.restrict("*.weight"),
}


@pytest.mark.parametrize("kind", OF_A_LOSS)
def test_those_of_the_classes_weighted_by_their_counts_sum_to_that_of_all(trained_net, kind):
    make, net = OF_A_LOSS[kind], trained_net
    whole = make(hessian(net))
    v = random_vector(whole.size, "v")
    total = torch.zeros_like(v)
    for c in range(3):
        op = class_hessian(net.model, net.images, net.labels, c, dtype=DOUBLE, micro_chunk=3)
        total += op.num_images / 22 * (make(op) @ v)
    assert float((total - whole @ v).norm()) <= 1e-13 * net.scale * float(v.norm())


@pytest.mark.parametrize("shape", [(16,), (16, 2), (2, 17), (17, 2, 1), ()])
def test_a_product_with_another_shape_is_one_line(shape):
    with pytest.raises(InputError, match=r"shape \(17,\), or \(17, K\) for columns, got \("):
        DenseOperator(MATRIX) @ torch.zeros(shape)


def test_a_product_with_an_array_is_told_of_to_scipy():
    with pytest.raises(InputError, match=r"got ndarray; for arrays use H.to_scipy\(\)"):
        DenseOperator(MATRIX) @ np.ones(17)


def test_a_product_takes_vectors_of_another_dtype_into_its_own():
    v = torch.arange(17)
    assert torch.equal(DenseOperator(MATRIX) @ v, MATRIX @ v.double())
    assert (DenseOperator(MATRIX) @ torch.ones(17, 0)).shape == (17, 0)


@pytest.mark.parametrize("other", [torch.eye(3, dtype=DOUBLE), MATRIX.float()])
def test_a_difference_of_operators_on_other_spaces_is_refused(other):
    with pytest.raises(InputError, match=r"one size and kind, got 17 on cpu in torch\.float64"):
        DenseOperator(MATRIX) - DenseOperator(other)


@pytest.mark.parametrize("wrong", [lambda H: H - MATRIX, lambda H: "2" * H])
def test_what_is_no_operator_or_factor_is_a_type_error(wrong):
    with pytest.raises(TypeError):
        wrong(DenseOperator(MATRIX))


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
