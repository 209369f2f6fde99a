"""Weight decay as part of the loss, against a dense Hessian with c on its diagonal."""

import pytest
import torch
from oracles import dense_hessian, gauss_newton_products, random_vector
from product_nets import images_and_labels, make_net, operator

from spectra import (
    HessianOperator,
    InputError,
    SolverSettings,
    analyze_loss,
    extremes_by_active_images,
    make_generator,
)

C = 0.37
WEIGHTS = torch.linspace(0.5, 2, 7, dtype=torch.float64)
# Relative: sums of some thousand terms in float64, each side in another order.
ROUNDING = 1e-12


def dense(op):
    """Return L, ∇L and H of the loss with weight decay, by autograd over all images at once."""
    trained = [p for p in op.model.parameters() if p.requires_grad]
    losses = torch.nn.functional.cross_entropy(op.model(op.images), op.labels, reduction="none")
    penalty = C / 2 * sum(p.square().sum() for p in trained)
    loss = (op.weights * losses).sum() / op.weights.sum() + penalty
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, trained)])
    matrix = dense_hessian(op.model, op.images, op.labels, weights=op.weights)
    return float(loss.detach()), gradient, matrix + C * torch.eye(len(matrix), dtype=torch.float64)


def close(found, wanted) -> bool:
    return float((found - wanted).norm()) <= ROUNDING * float(wanted.norm())


@pytest.fixture(params=["tangent", "double-backward"])
def op(request) -> HessianOperator:
    return operator("activations", products=request.param, weights=WEIGHTS, weight_decay=C)


def test_loss_gradient_and_products_are_those_of_the_whole(op):
    loss, gradient, matrix = dense(op)
    v = random_vector(op.size, "v")
    assert op.loss() == pytest.approx(loss, rel=ROUNDING)
    assert close(op.gradient(), gradient)
    assert close(op.matvec(v), matrix @ v)
    assert close(op.matvec(v), matrix @ v)  # from kept work


def test_every_kind_of_product_has_it(op):
    matrix = dense(op)[2]
    rows = torch.stack([random_vector(op.size, "v"), random_vector(op.size, "u")])
    products, scales = op.scaled_products(rows)
    bent, sizes = op.second_derivatives(rows)
    pieces = sum(op.chunk_product(chunk, rows[0]) for chunk in op.chunks())
    assert close(op.matmat(rows), rows @ matrix)
    assert close(products, rows @ matrix)
    assert close(bent, ((rows @ matrix) * rows).sum(1))
    assert close(pieces / op.total_weight, matrix @ rows[0])
    assert bool((scales >= C * rows.norm(dim=1)).all() and (sizes >= bent.abs()).all())


def test_a_block_has_it_on_its_diagonal(op):
    name = op.names[0]
    block = op.restrict(name)
    plain = op.with_weight_decay(0.0).restrict(name)
    v = random_vector(block.size, "v")
    assert close(block @ v, plain @ v + C * v)


def test_parts_of_a_partition_add_up_to_the_whole(op):
    v = random_vector(op.size, "v")
    few, rest = (op.over_images(torch.tensor(i)) for i in ([4, 0, 2], [1, 6, 3, 5]))
    parts = [few, *(rest.over_images(torch.tensor(i)) for i in ([2], [0, 3, 1]))]
    assert sum(part.loss() for part in parts) == pytest.approx(op.loss(), rel=ROUNDING)
    assert close(sum(part.gradient() for part in parts), op.gradient())
    assert close(sum(part.matvec(v) for part in parts), op.matvec(v))


def test_a_mean_over_a_part_has_all_of_it(op):
    part = op.over_images(torch.tensor([1, 4]))
    assert part.decay == pytest.approx(C * float(WEIGHTS[[1, 4]].sum() / WEIGHTS.sum()))
    mean = part.with_weights(torch.tensor([1.0, 3.0]))
    v = random_vector(op.size, "v")
    assert mean.decay == C
    assert close(mean.matvec(v), mean.with_weight_decay(0.0).matvec(v) + C * v)


def test_it_is_kept_in_float64_and_over_other_images():
    op = operator("activations", dtype=torch.float32, weight_decay=C)
    double = op.in_float64()
    assert (double.decay, op.with_images(op.images + 1).decay) == (C, C)
    v = random_vector(op.size, "v")
    assert close(double.matvec(v), operator("activations", weight_decay=C).matvec(v))


def test_moved_weights_are_those_that_decay(op):
    step = 0.1 * random_vector(op.size, "step")
    plain = op.with_weight_decay(0.0)
    at = torch.cat([p.detach().reshape(-1) for p in op.parameters])
    with op.moved(step):
        extra = op.loss() - plain.loss()
        assert extra == pytest.approx(C / 2 * float((at + step).square().sum()), rel=1e-10)
        assert close(op.gradient(), plain.gradient() + C * (at + step))


def test_frozen_parameters_do_not_decay():
    model = make_net("activations")
    kept = [name for name, _ in model.named_parameters()][-1]
    op = operator(model, parameters=kept, weight_decay=C)
    free = dict(model.named_parameters())[kept].detach().double()
    extra = op.loss() - op.with_weight_decay(0.0).loss()
    assert extra == pytest.approx(C / 2 * float(free.square().sum()), rel=1e-10)


def test_curvatures_of_images_are_without_it(op):
    v = random_vector(op.size, "v")[None]
    shares = WEIGHTS / WEIGHTS.sum()
    mean = float(op.curvatures(v)[0] @ shares)
    assert mean == pytest.approx(float(v[0] @ op.matvec(v[0]) - C * v[0] @ v[0]), rel=1e-10)


def test_the_gauss_newton_matrix_has_that_of_the_hessian(op):
    v = random_vector(op.size, "v")
    wanted = gauss_newton_products(op.model, op.images, op.labels, v[None], weights=WEIGHTS)[0]
    assert close(op.gauss_newton() @ v, wanted + C * v)


@pytest.mark.parametrize("num_probes", [0, 1])
def test_an_analysis_finds_every_eigenvalue_higher_by_it(num_probes):
    plain, op = (operator("activations", weight_decay=c, check=True) for c in (0.0, C))
    settings = SolverSettings(num_probes=num_probes, num_steps=op.size, max_steps=op.size)
    one, other = (
        analyze_loss(each, label="objective", classes=(0,), settings=settings)
        for each in (plain, op)
    )
    ends = torch.linalg.eigvalsh(dense(op)[2])[[0, -1]]
    # The residuals allowed are 3 %, whose square is the error of a value.
    assert other.lambda_min == pytest.approx(float(ends[0]), abs=1e-3 * float(ends[1]))
    assert other.lambda_max == pytest.approx(float(ends[1]), rel=1e-3)
    assert other.lambda_max - one.lambda_max == pytest.approx(C, rel=1e-2)
    found, before = other.bootstrap.largest, one.bootstrap.largest
    assert found.upper - before.upper == pytest.approx(C, rel=0.05)


def test_a_selection_of_images_does_not_lose_it():
    images, labels = images_and_labels()
    # Copies of the second image weigh almost nothing: the selection leaves them out.
    index = torch.tensor([*range(7), *[1] * 40])
    weights = torch.tensor([1.0] * 7 + [1e-6] * 40)
    op = HessianOperator(
        make_net("activations"), images[index], labels[index], weights=weights,
        dtype=torch.float64, check=False, weight_decay=C,
    )  # fmt: skip
    found = extremes_by_active_images(op, generator=make_generator(0))
    ends = torch.linalg.eigvalsh(dense(op)[2])[[0, -1]]
    assert found.images_used == "active"
    assert found.largest.value == pytest.approx(float(ends[1]), rel=1e-3)
    assert found.smallest.value == pytest.approx(float(ends[0]), abs=1e-3 * float(ends[1]))


def test_without_it_not_a_bit_changes():
    v = random_vector(operator("activations").size, "v")
    one, other = operator("activations"), operator("activations", weight_decay=C)
    other = other.with_weight_decay(0.0)
    assert torch.equal(one.matvec(v), other.matvec(v))
    assert torch.equal(one.gradient(), other.gradient())
    assert one.loss() == other.loss()


@pytest.mark.parametrize("value", [-1e-4, float("nan"), float("inf"), "5e-4", True])
def test_it_must_be_a_number_of_at_least_0(value):
    with pytest.raises(InputError, match="weight_decay must be finite and >= 0"):
        operator("activations", weight_decay=value)
