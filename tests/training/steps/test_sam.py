import pytest
import torch
from torch import Tensor, nn

from checkpoints.training.steps.interface import Batch
from checkpoints.training.steps.sam import ASAM, SAM
from spectra import make_generator
from spectra.objective.network.perturbed import perturbed

# float64, a handful of products of numbers of order 1
TIGHT = {"rtol": 1e-12, "atol": 1e-13}


def matrix() -> Tensor:
    """Symmetric, indefinite."""
    return torch.tensor([[2.0, 0.5, 0.0], [0.5, -1.0, 0.3], [0.0, 0.3, 0.7]], dtype=torch.float64)


def point() -> Tensor:
    return torch.tensor([0.8, -0.6, 1.5], dtype=torch.float64)


class Quadratic(nn.Module):
    """½ wᵀAw on one parameter, with the places where gradients were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(point())
        self.asked_at: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.asked_at.append(self.w.detach().clone())
        return (0.5 * self.w @ matrix() @ self.w).expand(len(x), 1)

    def sgd(self, lr: float = 0.1, **options: float) -> torch.optim.SGD:
        return torch.optim.SGD([self.w], lr=lr, **options)

    def batch(self) -> Batch:
        one = torch.ones(1, dtype=torch.float64)
        return Batch(self, one, torch.zeros(1).long(), one, lambda outputs, _: outputs[:, 0])


def step(problem: Quadratic, base: torch.optim.Optimizer, rule: SAM) -> None:
    base.zero_grad()
    rule.fill(problem.batch(), make_generator(0))
    base.step()


def sam(problem: Quadratic, rho: float = 0.5) -> SAM:
    return SAM([problem.w], rho=rho)


def perturbed_gradient(w: Tensor, rho: float) -> Tensor:
    """A (w + ρ g/‖g‖) with g = A w."""
    g = matrix() @ w
    return matrix() @ (w + rho * g / g.norm())


def test_one_step_on_a_quadratic_is_the_closed_form():
    problem = Quadratic()
    step(problem, problem.sgd(lr=0.1), sam(problem))
    expected = point() - 0.1 * perturbed_gradient(point(), 0.5)
    torch.testing.assert_close(problem.w.detach(), expected, **TIGHT)


def test_momentum_accumulates_the_gradients_at_the_perturbed_weights():
    problem = Quadratic()
    base = problem.sgd(lr=0.1, momentum=0.9)
    step(problem, base, sam(problem))
    step(problem, base, sam(problem))
    first = perturbed_gradient(point(), 0.5)
    w = point() - 0.1 * first
    expected = w - 0.1 * (0.9 * first + perturbed_gradient(w, 0.5))
    torch.testing.assert_close(problem.w.detach(), expected, **TIGHT)


def test_weight_decay_acts_in_the_descent_at_w_and_not_in_the_ascent():
    problem = Quadratic()
    step(problem, problem.sgd(lr=0.1, weight_decay=0.4), sam(problem))
    expected = point() - 0.1 * (perturbed_gradient(point(), 0.5) + 0.4 * point())
    torch.testing.assert_close(problem.w.detach(), expected, **TIGHT)


def test_first_gradient_is_taken_at_w():
    problem = Quadratic()
    step(problem, problem.sgd(), sam(problem))
    assert torch.equal(problem.asked_at[0], point())


def test_second_gradient_is_taken_at_distance_rho_along_the_first():
    problem = Quadratic()
    step(problem, problem.sgd(), sam(problem))
    g = matrix() @ point()
    torch.testing.assert_close(problem.asked_at[1] - point(), 0.5 * g / g.norm(), **TIGHT)


def test_the_base_optimizer_steps_from_w_exactly():
    class Recording(torch.optim.SGD):
        def step(self, closure=None):
            stepped_from.append(self.param_groups[0]["params"][0].detach().clone())
            return super().step(closure)

    problem, stepped_from = Quadratic(), []
    step(problem, Recording([problem.w], lr=0.1), sam(problem))
    assert torch.equal(stepped_from[0], point())


def test_radius_may_change_between_steps():
    problem = Quadratic()
    rule = sam(problem)
    rule.start_epoch(0.25, make_generator(0))
    step(problem, problem.sgd(lr=0.0), rule)
    distance = (problem.asked_at[1] - point()).norm()
    torch.testing.assert_close(distance, torch.tensor(0.25, dtype=torch.float64), **TIGHT)


def parameters_with_gradients() -> list[nn.Parameter]:
    generator = make_generator(0, "sam parameters")
    parameters = []
    for shape in ((3, 2), (4,), ()):
        p = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        p.grad = torch.randn(shape, generator=generator, dtype=torch.float64)
        parameters.append(p)
    return parameters


def flat(tensors) -> Tensor:
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def ascent_of(parameters: list[nn.Parameter], rule: type[SAM] = SAM, **options) -> Tensor:
    return flat(rule(parameters, rho=0.3, **options).ascent())


def test_ascent_has_norm_rho_over_all_parameters_together():
    norm = ascent_of(parameters_with_gradients()).norm()
    torch.testing.assert_close(norm, torch.tensor(0.3, dtype=torch.float64), **TIGHT)


def test_ascent_of_sam_is_rho_times_the_normalised_gradient():
    parameters = parameters_with_gradients()
    g = flat(p.grad for p in parameters)
    torch.testing.assert_close(ascent_of(parameters), 0.3 * g / g.norm(), **TIGHT)


@pytest.mark.parametrize("eta", [0.0, 0.01])
def test_ascent_of_asam_is_its_closed_form(eta):
    parameters = parameters_with_gradients()
    g, t = flat(p.grad for p in parameters), flat(parameters).abs() + eta
    expected = 0.3 * t**2 * g / (t * g).norm()
    actual = ascent_of(parameters, ASAM, eta=eta)
    torch.testing.assert_close(actual, expected, **TIGHT)


@pytest.mark.parametrize("rule", [SAM, ASAM], ids=["sam", "asam"])
def test_ascent_at_a_stationary_point_is_zero(rule):
    parameters = parameters_with_gradients()
    for p in parameters:
        p.grad.zero_()
    assert not ascent_of(parameters, rule).any()


def test_ascent_leaves_a_parameter_without_gradient_where_it_is():
    parameters = parameters_with_gradients()
    parameters[1].grad = None
    assert not ascent_of(parameters)[6:10].any()


def test_one_step_of_asam_on_a_quadratic_is_the_closed_form():
    problem = Quadratic()
    step(problem, problem.sgd(lr=0.1), ASAM([problem.w], rho=0.5, eta=0.01))
    w, t = point(), point().abs() + 0.01
    g = matrix() @ w
    expected = w - 0.1 * matrix() @ (w + 0.5 * t**2 * g / (t * g).norm())
    torch.testing.assert_close(problem.w.detach(), expected, **TIGHT)


def test_perturbed_weights_are_w_plus_the_step_and_come_back_to_the_last_bit():
    parameters = parameters_with_gradients()
    layout = torch.randn(2, 3, 4, 4, generator=make_generator(0, "layout"))
    parameters.append(nn.Parameter(layout.to(memory_format=torch.channels_last)))
    before = [p.detach().clone() for p in parameters]
    step = [1e9 * torch.ones_like(p) for p in before]
    inside: list[Tensor] = []

    def look_and_fail() -> None:
        inside.extend(p.detach().clone() for p in parameters)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), perturbed(parameters, step):
        look_and_fail()
    for p, w, e in zip(inside, before, step, strict=True):
        assert torch.equal(p, w + e)
    for p, w in zip(parameters, before, strict=True):
        assert torch.equal(p.detach(), w)
