import math

import pytest
import torch
from torch import Tensor, nn

from checkpoints import get_recipe, load_data, train
from checkpoints.models import Architecture
from checkpoints.models.heads import CosineHead
from checkpoints.recipes.recipe import RECIPE_NAMES
from checkpoints.training.gradients import (
    CCSAM,
    Batch,
    FocalSAM,
    ImbSAM,
    LowPassSGD,
    PerturbedGradient,
    make_rule,
    standard_normal,
)
from checkpoints.training.run import TrainingJob
from spectra import InputError, make_generator

DOUBLE = torch.float64
# Curvatures and slopes of three images' losses ½ a w² + b w on one weight.
A = torch.tensor([2.0, -1.0, 0.5], dtype=DOUBLE)
B = torch.tensor([0.3, 0.7, -0.1], dtype=DOUBLE)


class Line(nn.Module):
    """Outputs are the weight itself, once for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.8], dtype=DOUBLE))

    def forward(self, x: Tensor) -> Tensor:
        return self.w.expand(len(x), 1)


def quadratic(outputs: Tensor, labels: Tensor) -> Tensor:
    return 0.5 * A[: len(outputs)] * outputs[:, 0] ** 2 + B[: len(outputs)] * outputs[:, 0]


def slope(image: int, w: float) -> float:
    return float(A[image] * w + B[image])


WEIGHTS = torch.tensor([1.0, 2.0, 5.0], dtype=DOUBLE)
SHARES = [1 / 8, 2 / 8, 5 / 8]


def filled(rule_of, labels=(0, 0, 1)) -> tuple[float, float]:
    """Return the gradient that a rule puts, and the weight it leaves."""
    model = Line()
    batch = Batch(model, torch.zeros(3, 1), torch.tensor(labels), WEIGHTS, quadratic)
    rule = rule_of(list(model.parameters()))
    rule.fill(batch, make_generator(0, "noise"))
    return float(model.w.grad), float(model.w.detach())


def test_imbsam_climbs_for_the_tail_alone():
    found, left = filled(lambda p: ImbSAM(p, rho=0.5, tail=torch.tensor([False, True])))
    head = SHARES[0] * slope(0, 0.8) + SHARES[1] * slope(1, 0.8)
    tail = SHARES[2] * slope(2, 0.8 + 0.5 * math.copysign(1, slope(2, 0.8)))
    assert found == pytest.approx(head + tail, rel=1e-12)
    assert left == 0.8


def test_imbsam_without_tail_images_is_the_plain_gradient():
    found, _ = filled(lambda p: ImbSAM(p, rho=0.5, tail=torch.tensor([False, False])))
    assert found == pytest.approx(sum(s * slope(i, 0.8) for i, s in enumerate(SHARES)), rel=1e-12)


def test_imbsam_with_every_class_in_the_tail_is_sam():
    found, _ = filled(lambda p: ImbSAM(p, rho=0.5, tail=torch.tensor([True, True])))
    g = sum(s * slope(i, 0.8) for i, s in enumerate(SHARES))
    there = 0.8 + math.copysign(0.5, g)
    assert found == pytest.approx(sum(s * slope(i, there) for i, s in enumerate(SHARES)), rel=1e-12)


def test_focal_sam_adds_the_weighted_sharpness():
    weights = torch.tensor([0.25, 0.75], dtype=DOUBLE)
    found, left = filled(lambda p: FocalSAM(p, rho=0.5, factor=0.6, class_weights=weights))

    def focal(w: float) -> float:
        terms = (SHARES[i] * slope(i, w) for i in range(3))
        return sum(f * t for f, t in zip((0.25, 0.25, 0.75), terms, strict=True))

    plain = sum(s * slope(i, 0.8) for i, s in enumerate(SHARES))
    there = 0.8 + math.copysign(0.5, focal(0.8))
    assert found == pytest.approx(plain + 0.6 * (focal(there) - focal(0.8)), rel=1e-12)
    assert left == 0.8


def test_focal_sam_with_equal_weights_is_sam():
    ones = torch.ones(2, dtype=DOUBLE)
    found, _ = filled(lambda p: FocalSAM(p, rho=0.5, factor=1.0, class_weights=ones))
    expected, _ = filled(lambda p: ImbSAM(p, rho=0.5, tail=torch.tensor([True, True])))
    assert found == pytest.approx(expected, rel=1e-12)


def softmax_net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def classified() -> tuple[Tensor, Tensor, Tensor]:
    x = torch.randn(6, 4, generator=make_generator(0, "x"), dtype=DOUBLE)
    return x, torch.tensor([0, 2, 2, 0, 1, 2]), torch.linspace(1, 2, 6, dtype=DOUBLE)


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, labels, reduction="none")


def test_cc_sam_is_the_sum_over_classes_each_with_its_own_step_of_the_classifier():
    model, (x, y, w) = softmax_net(), classified()
    parameters = list(model.parameters())
    CCSAM(parameters, model=model, rho=0.3, scales=[1.0, 2.0, 3.0]).fill(
        Batch(model, x, y, w, cross_entropy), make_generator(0)
    )
    expected = [torch.zeros_like(p) for p in parameters]
    for c in range(3):
        mine = y == c

        def loss(mine: Tensor = mine) -> Tensor:
            return (w[mine] * cross_entropy(model(x[mine]), y[mine])).sum() / w.sum()

        head = parameters[2:]
        g = torch.autograd.grad(loss(), head)
        size = torch.cat([t.flatten() for t in g]).norm()
        kept = [p.detach().clone() for p in head]
        with torch.no_grad():
            for p, t in zip(head, g, strict=True):
                p += 0.3 * (c + 1) * t / size
        for total, t in zip(expected, torch.autograd.grad(loss(), parameters), strict=True):
            total += t
        with torch.no_grad():
            for p, k in zip(head, kept, strict=True):
                p.copy_(k)
    for p, e in zip(parameters, expected, strict=True):
        # The rule adds 1e-12 to every norm.
        torch.testing.assert_close(p.grad, e, rtol=1e-10, atol=1e-11)


def test_imbsam_is_its_formula_on_a_batch_where_head_and_tail_alternate():
    model, (x, y, w) = softmax_net(), classified()
    parameters = list(model.parameters())
    tail = torch.tensor([False, True, False])
    ImbSAM(parameters, rho=0.3, tail=tail).fill(
        Batch(model, x, y, w, cross_entropy), make_generator(0)
    )
    rare = tail[y]

    def gradient(images: Tensor) -> tuple[Tensor, ...]:
        terms = w * cross_entropy(model(x), y) / w.sum()
        return torch.autograd.grad(terms[images].sum(), parameters)

    head, climb = gradient(~rare), gradient(rare)
    size = torch.cat([t.flatten() for t in climb]).norm()
    with torch.no_grad():
        for p, t in zip(parameters, climb, strict=True):
            p += 0.3 * t / size
    for p, a, b in zip(parameters, head, gradient(rare), strict=True):
        # The rule adds 1e-12 to the norm.
        torch.testing.assert_close(p.grad, a + b, rtol=1e-10, atol=1e-11)


def test_cc_sam_needs_a_classifier():
    with pytest.raises(InputError, match="linear or cosine classifier"):
        CCSAM([], model=Line(), rho=0.1, scales=[1.0])


def test_low_pass_noise_is_scaled_by_filter_and_by_vector():
    matrix = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    vector = nn.Parameter(torch.tensor([0.0, 2.0]))
    rule = LowPassSGD([matrix, vector], gamma=0.5, draws=1)
    draws = [rule.noise(make_generator(k))[0] for k in range(4000)]
    found_matrix = torch.stack([d[0] for d in draws]).std(0)
    found_vector = torch.stack([d[1] for d in draws]).std(0)
    # The standard error of a standard deviation from 4,000 draws is 1.1 %.
    torch.testing.assert_close(
        found_matrix, torch.tensor([[2.5, 2.5], [0.0, 0.0]]), rtol=0.05, atol=0
    )
    torch.testing.assert_close(found_vector, torch.tensor([1.0, 1.0]), rtol=0.05, atol=0)


def test_low_pass_gradient_is_the_mean_over_draws():
    found, left = filled(lambda p: LowPassSGD(p, gamma=0.5, draws=3))
    generator = make_generator(0, "noise")
    total = 0.0
    for _ in range(3):
        there = 0.8 + 0.5 * 0.8 * float(torch.randn(1, generator=generator))
        total += sum(s * slope(i, there) for i, s in enumerate(SHARES)) / 3
    assert found == pytest.approx(total, rel=1e-6)  # the noise is drawn in float32
    assert left == 0.8


def plain_slope(w: float) -> float:
    return sum(s * slope(i, w) for i, s in enumerate(SHARES))


def test_pgd_moves_where_the_gradient_is_small_and_descends_from_there():
    found, left = filled(lambda p: PerturbedGradient(p, radius=0.1, threshold=10.0, interval=5))
    assert 0 < abs(left - 0.8) <= 0.1
    assert found == pytest.approx(plain_slope(left), rel=1e-12)


def test_pgd_is_plain_descent_where_the_gradient_is_large():
    found, left = filled(lambda p: PerturbedGradient(p, radius=0.1, threshold=1e-6, interval=5))
    assert (found, left) == (pytest.approx(plain_slope(0.8), rel=1e-12), 0.8)


def test_pgd_waits_between_two_moves_and_not_over_an_epoch():
    model = Line()
    rule = PerturbedGradient(list(model.parameters()), radius=0.1, threshold=10.0, interval=2)
    generator, moved = make_generator(0), []

    def fill() -> None:
        before = float(model.w.detach())
        batch = Batch(model, torch.zeros(3, 1), torch.tensor([0, 0, 1]), WEIGHTS, quadratic)
        rule.fill(batch, generator)
        moved.append(float(model.w.detach()) != before)

    for _ in range(5):
        fill()
    rule.start_epoch(0.0, generator)
    fill()
    assert moved == [True, False, False, True, False, True]


def test_pgd_moves_by_the_vectors_of_its_generator_in_turn_and_anew_in_each_epoch():
    model = Line()
    rule = PerturbedGradient(list(model.parameters()), radius=0.1, threshold=10.0, interval=1)
    moves: dict[str, list[float]] = {}
    for epoch in ("first", "second"):
        generator, moves[epoch] = make_generator(0, epoch), []
        rule.start_epoch(0.0, generator)
        for _ in range(3):  # the first and the third move
            before = float(model.w.detach())
            batch = Batch(model, torch.zeros(3, 1), torch.tensor([0, 0, 1]), WEIGHTS, quadratic)
            rule.fill(batch, generator)
            moves[epoch].append(float(model.w.detach()) - before)
    for epoch, found in moves.items():
        generator = make_generator(0, epoch)
        drawn = [float(rule.ball(generator)[0]) for _ in range(2)]
        # a weight of order 1 plus a step, in float64
        assert found == pytest.approx([drawn[0], 0.0, drawn[1]], abs=1e-14)


def test_normal_draws_are_those_of_each_tensor_in_turn():
    # 16 numbers are where torch begins to draw in another way.
    shapes = [(3, 2), (), (40,), (2, 4, 4)]
    parameters = [torch.zeros(shape, dtype=DOUBLE) for shape in shapes]
    drawn = standard_normal(parameters, make_generator(0), times=2)
    generator = make_generator(0)
    for each in drawn:
        for found, shape in zip(each, shapes, strict=True):
            assert torch.equal(found, torch.randn(shape, generator=generator).double())


def test_pgd_steps_are_uniform_in_the_ball():
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
    rule = PerturbedGradient(parameters, radius=2.0, threshold=1.0, interval=0)
    generator = make_generator(0)
    radii = torch.tensor([float(torch.cat(rule.ball(generator)).norm()) for _ in range(2000)])
    assert float(radii.max()) <= 2.0 + 1e-6
    # Half of a ball's volume lies within 2^(-1/3) of its radius; 2,000 draws: ± 2.2 % (2 sd).
    assert float((radii <= 2.0 * 0.5 ** (1 / 3)).float().mean()) == pytest.approx(0.5, abs=0.04)


def test_the_rarest_third_is_imbsams_tail():
    recipe = get_recipe("ce-drw-imbsam")
    rule = make_rule(recipe, softmax_net(), (500, 300, 200, 100, 90, 80, 60, 40, 20, 10))
    assert rule.tail.tolist() == [False] * 7 + [True] * 3


# Classes of equal size are all tail or all head.
@pytest.mark.parametrize(
    ("counts", "tail"),
    [((500, 500, 500, 50, 50, 50), [False] * 3 + [True] * 3), ((9, 1), [False, True])],
)
def test_imbsams_tail_takes_all_classes_of_a_size(counts, tail):
    recipe = get_recipe("ce-drw-imbsam")
    assert make_rule(recipe, softmax_net(), counts).tail.tolist() == tail


@pytest.mark.parametrize(
    ("counts", "below", "which"),
    [((500,) * 10, 0, "every class"), ((9, 5, 2), 1, "no class"), ((9, 5, 2), 10, "every class")],
)
def test_imbsam_refuses_classes_that_are_all_head_or_all_tail(counts, below, which):
    recipe = get_recipe("ce-drw-imbsam").with_overrides({"tail_below": below})
    with pytest.raises(InputError, match=rf"{which} .* tail_below"):
        make_rule(recipe, softmax_net(), counts)


def test_low_pass_noise_of_a_cosine_head_is_scaled_by_class():
    head = CosineHead(2, 3)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, 0.0, 1.0], [4.0, 0.0, 0.0]]))
    rule = make_rule(
        get_recipe("ce-drw-lpf-sgd").with_overrides({"lpf_gamma": 0.5}), head, (2, 2, 2)
    )
    found = torch.stack([rule.noise(make_generator(k))[0][0] for k in range(4000)]).std(0)
    wanted = torch.tensor([[2.5, 0.0, 0.5]] * 2)
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0)  # standard error 1.1 %


def test_low_pass_noise_of_a_number():
    rule = LowPassSGD([nn.Parameter(torch.tensor(-2.0))], gamma=0.5, draws=1)
    ((noise,),) = rule.noise(make_generator(0))
    assert noise.shape == ()
    assert float(noise) != 0


@pytest.mark.parametrize("name", [n for n in RECIPE_NAMES if n not in ("ce-drw", "vs")])
def test_every_recipe_trains_and_lowers_the_loss(name, tmp_path):
    recipe = get_recipe(name, "digits").with_overrides({"epochs": 3})
    data = load_data()
    architecture = Architecture("digits-resnet", 10, 1, 8, recipe.head)
    losses = []
    train(
        TrainingJob(recipe, data, architecture, 0, tmp_path, ()),
        on_epoch=lambda _, metrics: losses.append(metrics["train_loss"]),
    )
    assert losses[1] < losses[0]  # re-weighting starts in the third


@pytest.mark.parametrize("name", ["ce-drw-pgd", "ce-drw-lpf-sgd", "ce-drw-cc-sam"])
def test_a_resumed_run_ends_in_the_same_bytes(name, tmp_path):
    recipe = get_recipe(name, "digits").with_overrides({"epochs": 2, "pgd_threshold": 100.0})
    data, architecture = load_data(), Architecture("digits-resnet", 10, 1, 8)

    class StopError(Exception):
        pass

    def stop(epoch: int, metrics: object) -> None:
        raise StopError

    whole, broken = (TrainingJob(recipe, data, architecture, 0, tmp_path / x, ()) for x in "ab")
    (path,) = train(whole)
    with pytest.raises(StopError):
        train(broken, on_epoch=stop)
    (again,) = train(broken, resume=True)
    assert path.read_bytes() == again.read_bytes()
