import numpy as np
import pytest
import torch
from oracles import (
    QuadraticNet,
    dense_hessian,
    first_output,
    random_vector,
    symmetric_with_spectrum,
)
from torch import Tensor, nn

from spectra import HessianOperator, InputError, make_generator
from spectra.findings.sharpness import (
    BatchProjections,
    amplifications,
    batch_projections,
    class_factors,
    gauss_newton_form,
    sam_gradient,
    slopes,
)

DOUBLE = torch.float64
EIGENVALUES = torch.tensor([-2.0, -0.5, 0.3, 1.0, 4.0], dtype=DOUBLE)


def matrix() -> Tensor:
    return symmetric_with_spectrum(EIGENVALUES, seed=1)


def quadratic() -> HessianOperator:
    """½ wᵀAw + bᵀw, the same for each of four images."""
    point, slope = random_vector(5, "point"), random_vector(5, "slope")
    return HessianOperator(
        QuadraticNet(matrix(), point, slope),
        torch.zeros(4, 1),
        torch.zeros(4, dtype=torch.int64),
        loss=first_output,
        dtype=DOUBLE,
    )


@pytest.mark.parametrize("index", range(5))
def test_on_a_quadratic_the_factor_is_the_analytic_one(index):
    op = quadratic()
    value, vector = float(EIGENVALUES[index]), torch.linalg.eigh(matrix()).eigenvectors[:, index]
    size = float(op.gradient().norm())
    for factor in class_factors(op, vector, value, [0.01, 0.3, 2.0]):
        analytic = 1 + factor.rho * value / size
        assert factor.predicted == pytest.approx(analytic, rel=1e-10)
        assert factor.measured == pytest.approx(analytic, rel=1e-10)
        assert factor.unnormalised == pytest.approx(1 + factor.rho * value, rel=1e-12)
        assert not factor.undetermined  # all images agree


def test_sam_shrinks_the_slope_along_negative_curvature_until_rho_is_twice_the_critical_length():
    op = quadratic()
    vector = torch.linalg.eigh(matrix()).eigenvectors[:, 0]
    critical = 2 * float(op.gradient().norm()) / 2.0
    below, above = class_factors(op, vector, -2.0, [0.99 * critical, 1.01 * critical])
    assert abs(below.measured) < 1 < abs(above.measured)


def test_batches_of_a_quadratic_amplify_by_the_square_of_the_factor():
    op = quadratic()
    vector = torch.linalg.eigh(matrix()).eigenvectors[:, 0]
    batches = [torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([1, 3])]
    found = batch_projections(op, vector, batches, [0.1, 0.5])
    size = float(op.gradient().norm())
    for row in amplifications(found, -2.0, generator=make_generator(0)):
        analytic = (1 - 2.0 * row.rho / size) ** 2
        for interval in (row.measured, row.predicted):
            assert interval.estimate == pytest.approx(analytic, rel=1e-10)
            assert interval.upper - interval.lower <= 1e-10  # all batches are alike
        assert row.theorem == pytest.approx((1 - 2.0 * row.rho) ** 2)


def test_the_point_is_left_as_it_was():
    op = quadratic()
    before = [p.detach().clone() for p in op.parameters]
    sam_gradient(op, 0.7)
    assert all(torch.equal(p, q) for p, q in zip(op.parameters, before, strict=True))


@pytest.fixture(scope="module")
def net() -> tuple[nn.Module, Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)
        )
    images = torch.randn(9, 2, 4, 4, generator=make_generator(0, "x"))
    return model.eval(), images, torch.arange(9) % 3


def operator(net, **options) -> HessianOperator:
    model, images, labels = net
    return HessianOperator(model, images, labels, **{"dtype": DOUBLE, "micro_chunk": 4, **options})


def test_slopes_are_the_products_of_each_images_gradient(net):
    op = operator(net, weights=torch.linspace(1, 2, 9))
    v = random_vector(op.size, "v")
    single = []
    for i in range(9):
        part = op.over_images(torch.tensor([i])).with_weights(torch.ones(1, dtype=DOUBLE))
        single.append(float(part.gradient() @ v))
    assert slopes(op, v).tolist() == pytest.approx(single, rel=1e-9, abs=1e-12)


def test_gauss_newton_form_is_that_of_the_dense_jacobians(net):
    weights = torch.linspace(1, 2, 9, dtype=DOUBLE)
    op = operator(net, weights=weights)
    v = random_vector(op.size, "v")
    model, images, _ = net
    model = type(model)(*model).double()
    names = [n for n, _ in model.named_parameters()]
    point = tuple(p.detach() for p in model.parameters())

    def outputs(*values: Tensor) -> Tensor:
        return torch.func.functional_call(
            model, dict(zip(names, values, strict=True)), (images.double(),)
        )

    jacobian = torch.autograd.functional.jacobian(outputs, point)
    flat = torch.cat([j.flatten(2) for j in jacobian], 2)  # (n, C, P)
    along = flat @ v
    p = outputs(*point).softmax(1).detach()
    single = (p * along**2).sum(1) - (p * along).sum(1) ** 2
    expected = float((weights * single).sum() / weights.sum())
    assert gauss_newton_form(op, v) == pytest.approx(expected, rel=1e-10)
    model.float()


def test_a_linear_network_bends_only_with_its_loss():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(32, 3))
    images = torch.randn(9, 2, 4, 4, generator=make_generator(0, "x"))
    op = HessianOperator(model, images, torch.arange(9) % 3, dtype=DOUBLE)
    v = random_vector(op.size, "v")
    assert gauss_newton_form(op, v) == pytest.approx(float(v @ op.matvec(v)), rel=1e-10)


def test_class_gradient_within_its_error_is_undetermined():
    class Signs(nn.Module):
        """The output of image x is x·w: slopes of both signs."""

        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.0]))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.w

    def undetermined(values: list[float]) -> bool:
        x = torch.tensor(values)[:, None]
        op = HessianOperator(
            Signs(), x, torch.zeros(len(values), dtype=torch.int64), loss=first_output,
            dtype=DOUBLE, check=False,
        )  # fmt: skip
        return class_factors(op, torch.ones(1, dtype=DOUBLE), 0.0, [0.1])[0].undetermined

    assert undetermined([1.0, -1.0, 1.1, -1.0])
    assert not undetermined([1.0, 1.1, 0.9, 1.0])


def test_bootstrap_interval_widens_with_the_spread_of_the_batches():
    plain = np.array([1.0, 1.0, 1.0, 1.0])
    steady, varied = np.full((1, 4), 2.0), np.array([[0.5, 1.0, 2.0, 3.5]])
    widths = []
    for sam in (steady, varied):
        found = BatchProjections(plain, sam, sam, (0.1,))
        (row,) = amplifications(found, -1.0, generator=make_generator(0))
        assert row.measured.estimate == pytest.approx(float((sam**2).mean()))
        widths.append(row.measured.upper - row.measured.lower)
    assert widths[0] == pytest.approx(0, abs=1e-12)
    assert widths[1] > 1


def test_one_batch_has_no_interval():
    one = np.ones((1, 1))
    with pytest.raises(InputError, match="at least 2"):
        amplifications(BatchProjections(one[0], one, one, (0.1,)), 1.0, generator=make_generator(0))


@pytest.mark.parametrize("rhos", [[], [0.0], [-0.1], [float("inf")]])
def test_radii_that_are_none_are_refused(rhos):
    with pytest.raises(InputError, match="rho must be positive"):
        class_factors(quadratic(), torch.ones(5, dtype=DOUBLE), 1.0, rhos)


def test_the_whole_hessian_is_gauss_newton_and_the_rest(net):
    op = operator(net)
    model, images, labels = net
    v = random_vector(op.size, "v")
    dense = dense_hessian(model, images, labels)
    assert float(v @ dense @ v) != pytest.approx(gauss_newton_form(op, v), rel=1e-3)
    assert gauss_newton_form(op, v) > 0
