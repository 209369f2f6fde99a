import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from oracles import (
    QuadraticNet,
    build_net,
    cross_entropy,
    dense_hessian,
    first_output,
    images_and_labels,
    random_vector,
    refill,
    symmetric_with_spectrum,
)
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spectra import (
    CrossEntropy,
    HessianOperator,
    InputError,
    NonFiniteError,
    OperatorError,
    class_hessian,
    extreme_eigenpairs,
    make_generator,
)

# Relative to max|λ|: some ulp of float64 in the sum over 22 images.
ULPS = 1e-13
DOUBLE = torch.float64


def operator(net, **options) -> HessianOperator:
    return HessianOperator(net.model, net.images, net.labels, **{"dtype": DOUBLE, **options})


def distance(op: HessianOperator, matrix: Tensor) -> float:
    return float((op.dense() - matrix).abs().max())


@pytest.fixture
def net(trained_nets):
    return trained_nets["smooth_mlp"]


@pytest.mark.parametrize("micro_chunk", [1, 3, 5, 11, 21, 22, 100])
def test_chunks_of_any_size_give_the_hessian_of_the_whole_batch(net, micro_chunk):
    assert distance(operator(net, micro_chunk=micro_chunk), net.hessian) <= ULPS * net.scale


def test_class_hessians_weighted_by_their_counts_sum_to_the_whole(trained_net):
    images, labels = trained_net.images, trained_net.labels
    v = random_vector(len(trained_net.hessian), "v")
    total = torch.zeros_like(v)
    for c in range(3):
        part = class_hessian(trained_net.model, images, labels, c, dtype=DOUBLE)
        total += part.num_images / len(labels) * part.matvec(v)
    error = float((total - trained_net.hessian @ v).norm())
    assert error <= ULPS * trained_net.scale * float(v.norm())


def test_weighted_class_hessians_sum_to_the_weighted_whole(net):
    class_weights = torch.tensor([0.2, 1.0, 5.0], dtype=DOUBLE)
    counts = torch.bincount(net.labels)
    whole = operator(net, weights=class_weights[net.labels], micro_chunk=5)
    v = random_vector(whole.size, "v")
    total = torch.zeros_like(v)
    for c in range(3):
        part = class_hessian(net.model, net.images, net.labels, c, dtype=DOUBLE)
        total += class_weights[c] * counts[c] * part.matvec(v)
    expected = total / (class_weights * counts).sum()
    assert float((whole.matvec(v) - expected).norm()) <= ULPS * 5 * net.scale * float(v.norm())


def test_a_class_weight_cancels_in_the_weighted_mean_of_one_class(net):
    keep = net.labels == 2
    images, labels = net.images[keep], net.labels[keep]
    plain = HessianOperator(net.model, images, labels, dtype=DOUBLE)
    # A power of two scales without rounding, so the two must agree to the last bit.
    weighted = HessianOperator(
        net.model, images, labels, dtype=DOUBLE, weights=torch.full((len(labels),), 8.0)
    )
    v = random_vector(plain.size, "v")
    assert torch.equal(plain.matvec(v), weighted.matvec(v))


def test_an_image_of_weight_zero_does_not_count(net):
    weights = (net.labels != 1).double()
    keep = net.labels != 1
    matrix = dense_hessian(net.model, net.images[keep], net.labels[keep])
    assert distance(operator(net, weights=weights, micro_chunk=5), matrix) <= ULPS * net.scale


def test_a_group_of_classes_is_the_mean_over_all_its_images(net):
    keep = net.labels != 1
    op = class_hessian(net.model, net.images, net.labels, (0, 2), dtype=DOUBLE)
    matrix = dense_hessian(net.model, net.images[keep], net.labels[keep])
    assert distance(op, matrix) <= ULPS * net.scale


def test_no_class_given_means_every_image(net):
    op = class_hessian(net.model, net.images, net.labels, None, dtype=DOUBLE)
    assert distance(op, net.hessian) <= ULPS * net.scale


def test_a_class_without_images_is_refused(net):
    with pytest.raises(InputError, match=r"\[7\]"):
        class_hessian(net.model, net.images, net.labels, 7)


def test_arrays_and_lists_are_taken_for_tensors(net):
    op = class_hessian(net.model, net.images, net.labels, 2, dtype=DOUBLE)
    images, labels = net.images.numpy(), net.labels.numpy().astype("int32")
    v = random_vector(op.size, "v")
    for given in (labels, labels.tolist()):
        same = class_hessian(net.model, images, given, labels[labels == 2][0], dtype=DOUBLE)
        assert torch.equal(same.matvec(v), op.matvec(v))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model": None}, "model must be a torch.nn.Module, got NoneType"),
        ({"images": None}, "images must be a tensor or an array of floats, got NoneType"),
        (
            {"images": [[1.0], [2.0, 3.0]]},
            "images must be a tensor or an array of floats, got list",
        ),
        ({"labels": None}, "labels must be a tensor or an array of integers, got NoneType"),
        ({"labels": [0.5] * 22}, "labels must be a tensor or an array of integers, got list"),
        ({"labels": [0, 1]}, r"labels must have shape \(22,\), one an image, got \(2,\)"),
        ({"classes": "2"}, "classes must be a label such as 8, .* got '2'"),
        ({"classes": 2.0}, "classes must be a label such as 8, .* got 2.0"),
        ({"classes": (0, None)}, r"classes must be a label such as 8, .* got \(0, None\)"),
        ({"classes": torch.tensor([0.0])}, "classes must be a label such as 8"),
    ],
)
def test_arguments_of_another_kind_are_refused_in_one_line(net, changes, complaint):
    given = {"model": net.model, "images": net.images, "labels": net.labels, "classes": 2}
    with pytest.raises(InputError, match=complaint) as error:
        class_hessian(**{**given, **changes})
    assert "\n" not in str(error.value)


def test_the_scale_of_the_loss_enters_the_hessian(net):
    matrix = dense_hessian(
        net.model, net.images, net.labels, loss=lambda o, y: cross_entropy(30 * o, y)
    )
    error = distance(operator(net, loss=CrossEntropy(30.0)), matrix)
    assert error <= ULPS * float(matrix.abs().max()) * 10


def test_frozen_parameters_leave_the_rows_of_the_others(net):
    model = copy.deepcopy(net.model)
    model[1].weight.requires_grad_(False)
    op = HessianOperator(model, net.images, net.labels, dtype=DOUBLE)
    assert distance(op, net.hessian[160:, 160:]) <= ULPS * net.scale  # 32·5 weights come first


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("kind", ["smooth_mlp", "conv_resnet"])
def test_result_bytes_do_not_depend_on_the_memory_budget(trained_nets, kind, dtype):
    ops = [
        operator(trained_nets[kind], dtype=dtype, micro_chunk=5, memory_budget=budget)
        for budget in (0, 300_000, 2**40)
    ]
    for name in "uv":  # the second product uses the graphs that the first one kept
        v = random_vector(ops[0].size, name, dtype=dtype)
        products = [op.matvec(v) for op in ops]
        assert torch.equal(products[0], products[1])
        assert torch.equal(products[0], products[2])


def test_gradient_is_that_of_the_weighted_mean(net):
    weights = torch.linspace(0.1, 2, 22, dtype=DOUBLE)
    gradient = operator(net, weights=weights, micro_chunk=5).gradient()
    model = copy.deepcopy(net.model).double()
    losses = cross_entropy(model(net.images.double()), net.labels)
    ((weights * losses).sum() / weights.sum()).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    # Entries are below 1; some ulp remain.
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-15 * 22)


def test_loss_and_accuracy_are_those_of_the_whole_batch(net):
    op = operator(net, micro_chunk=5)
    with torch.no_grad():
        outputs = copy.deepcopy(net.model).double()(net.images.double())
    assert op.loss() == pytest.approx(float(cross_entropy(outputs, net.labels).mean()), rel=1e-14)
    assert op.accuracy() == float((outputs.argmax(1) == net.labels).double().mean())


def test_one_image_is_enough(net):
    op = HessianOperator(net.model, net.images[:1], net.labels[:1], dtype=DOUBLE)
    matrix = dense_hessian(net.model, net.images[:1], net.labels[:1])
    assert distance(op, matrix) <= ULPS * float(matrix.abs().max()) * 10


@pytest.mark.parametrize("seed", range(4))
def test_softmax_regression_has_no_negative_curvature(seed):
    images, labels = images_and_labels(18, seed=seed)
    op = HessianOperator(build_net("softmax"), images, labels, dtype=DOUBLE, micro_chunk=7)
    found = extreme_eigenpairs(op, generator=make_generator(seed), max_steps=op.size, tol=1e-6)
    # Convex: only rounding can go below 0, and a Rayleigh quotient carries some ulp of λmax.
    assert found.smallest.value >= -1e-12 * found.largest.value


def test_a_loss_linear_in_the_parameters_has_a_zero_hessian():
    images, labels = images_and_labels(9)
    op = HessianOperator(build_net("softmax"), images, labels, loss=first_output, micro_chunk=4)
    assert torch.equal(op.matvec(random_vector(op.size, dtype=torch.float32)), torch.zeros(op.size))


def test_a_piecewise_linear_loss_has_zero_blocks_on_the_diagonal():
    images, labels = images_and_labels(9)
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Flatten(), nn.Linear(32, 2), nn.ReLU(), nn.Linear(2, 1))
    refill(model, "piecewise linear")
    matrix = HessianOperator(model, images, labels, loss=first_output, dtype=DOUBLE).dense()
    assert not matrix[:66, :66].any()  # the first layer: 32·2 weights and 2 biases
    assert not matrix[66:, 66:].any()
    assert matrix[:66, 66:].any()


class Then(nn.Module):
    """Applies a function to a net's outputs."""

    def __init__(self, net: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.function = net, function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.net(x))


class WithSpare(nn.Module):
    """A net with one parameter that nothing uses and one that is used detached."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.ones(2))
        self.detached = nn.Parameter(torch.ones(3))
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * self.detached.detach()


def test_unused_and_detached_parameters_have_zero_rows(net):
    op = HessianOperator(WithSpare(net.model), net.images, net.labels, dtype=DOUBLE, micro_chunk=5)
    matrix = op.dense()
    assert not matrix[:5].any()
    assert not matrix[:, :5].any()
    assert float((matrix[5:, 5:] - net.hessian).abs().max()) <= ULPS * net.scale


def test_a_model_that_uses_no_parameter_has_a_zero_hessian():
    images, labels = images_and_labels(6)
    op = HessianOperator(Then(build_net("softmax"), Tensor.detach), images, labels)
    assert torch.equal(op.matvec(torch.ones(op.size)), torch.zeros(op.size))


def test_a_quadratic_has_its_matrix_as_hessian():
    matrix = symmetric_with_spectrum(torch.linspace(-2, 3, 6), seed=0)
    model = QuadraticNet(matrix, torch.ones(6, dtype=DOUBLE), torch.zeros(6, dtype=DOUBLE))
    images, labels = images_and_labels(5)
    op = HessianOperator(model, images, labels, loss=first_output, dtype=DOUBLE, micro_chunk=2)
    torch.testing.assert_close(op.dense(), matrix, rtol=0, atol=1e-15 * 10)


def test_integer_images_are_refused(net):
    with pytest.raises(InputError, match=r"floats, got torch\.uint8"):
        HessianOperator(net.model, net.images.to(torch.uint8), net.labels)


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.int(),
        lambda y: y.double(),
        lambda y: y[:-1],
        lambda y: y[:, None],
        lambda y: F.one_hot(y),
    ],
    ids=["int32", "float64", "short", "column", "one-hot"],
)
def test_labels_of_another_dtype_or_shape_are_refused(net, change):
    with pytest.raises(InputError, match=r"labels must be int64 of shape \(22,\)"):
        HessianOperator(net.model, net.images, change(net.labels))


def test_no_images_are_refused(net):
    with pytest.raises(InputError, match="no images"):
        HessianOperator(net.model, net.images[:0], net.labels[:0])


@pytest.mark.parametrize("n", [1, 22])
def test_a_loss_that_reduces_is_refused(net, n):
    with pytest.raises(InputError, match="reduction='none'"):
        HessianOperator(net.model, net.images[:n], net.labels[:n], loss=F.cross_entropy)


def test_a_model_without_trainable_parameters_is_refused(net):
    model = copy.deepcopy(net.model).requires_grad_(False)
    with pytest.raises(InputError, match="requires_grad"):
        HessianOperator(model, net.images, net.labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_other_dtypes_are_refused(net, dtype):
    with pytest.raises(InputError, match="dtype"):
        operator(net, dtype=dtype)


def test_micro_chunk_below_one_is_refused(net):
    with pytest.raises(InputError, match="micro_chunk"):
        operator(net, micro_chunk=0)


@pytest.mark.parametrize(
    "weights",
    [-torch.ones(22), torch.zeros(22), torch.ones(21), torch.full((22,), float("nan"))],
    ids=["negative", "zero", "short", "nan"],
)
def test_unusable_sample_weights_are_refused(net, weights):
    with pytest.raises(InputError, match="weights"):
        operator(net, weights=weights)


def test_non_finite_images_are_refused(net):
    images = net.images.clone()
    images[-1, 0, 0, 0] = float("inf")
    with pytest.raises(NonFiniteError, match="images"):
        HessianOperator(net.model, images, net.labels)


def test_nan_parameters_are_named_as_a_non_finite_loss(net):
    model = copy.deepcopy(net.model)
    with torch.no_grad():
        model[1].weight[0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match="22 of the first 22 images"):
        HessianOperator(model, net.images, net.labels)


def test_an_infinite_second_derivative_is_named(net):
    def cube_root_at_zero(outputs: Tensor) -> Tensor:
        return outputs + (outputs - outputs.detach()).abs().pow(4 / 3)

    with pytest.raises(NonFiniteError, match="second derivative"):
        HessianOperator(Then(net.model, cube_root_at_zero), net.images, net.labels)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.dropout(x, 0.5, training=True),
        lambda x: x * (1 + 1e-3 * torch.randn_like(x)),
    ],
    ids=["dropout", "noise"],
)
def test_randomness_in_the_forward_pass_is_named(net, function):
    with torch.random.fork_rng(devices=[]), pytest.raises(OperatorError, match="random numbers"):
        HessianOperator(Then(net.model, function), net.images, net.labels)


def test_dropout_that_obeys_eval_mode_is_no_randomness(net):
    model = nn.Sequential(net.model, nn.Dropout(0.5)).train()
    assert distance(HessianOperator(model, net.images, net.labels, dtype=DOUBLE), net.hessian) <= (
        ULPS * net.scale
    )


def test_batch_norm_without_running_averages_is_refused(net):
    norm = nn.BatchNorm1d(3, affine=False, track_running_stats=False)
    with pytest.raises(OperatorError, match="track_running_stats=False"):
        HessianOperator(Then(net.model, norm), net.images, net.labels)


class Square(torch.autograd.Function):
    """x², whose backward is right in first order and loses part of the second."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2


class ForgetsPoint(Square):
    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0].detach() * gradient


class ForgetsGradient(Square):
    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient.detach()


class HasNoDoubleBackward(Square):
    """Torch skips such a path without a word where another one reaches the parameters."""

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class WrongByAFactor(Square):
    """Wrong in first order already; the second derivative is symmetric all the same."""

    @staticmethod
    def backward(ctx, gradient):
        return ctx.saved_tensors[0] * gradient


class Between(nn.Module):
    """Applies a function to the first layer's outputs."""

    def __init__(self, net: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.function = net, function

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2:](self.function(self.net[:2](x)))


@pytest.mark.parametrize("place", [Then, Between], ids=["last", "inside"])
@pytest.mark.parametrize(
    "function", [ForgetsPoint, ForgetsGradient, HasNoDoubleBackward, WrongByAFactor]
)
def test_a_wrong_custom_backward_is_refused(net, function, place):
    with pytest.raises(OperatorError):
        HessianOperator(place(net.model, function.apply), net.images, net.labels)


def snapshot(model: nn.Module) -> dict[str, object]:
    return {
        "state": {k: v.clone() for k, v in model.state_dict().items()},
        "grads": {k: p.grad.clone() for k, p in named(model) if p.grad is not None},
        "objects": [(k, id(p), id(p.grad), p.requires_grad, p.dtype) for k, p in named(model)],
        "modes": [m.training for m in model.modules()],
    }


def named(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(model.named_parameters())


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("grads", [True, False], ids=["with .grad", "without .grad"])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_the_callers_model_is_left_as_it_was(trained_nets, training, grads, dtype):
    net = trained_nets["conv_resnet"]
    model = copy.deepcopy(net.model).train(training)
    model[1].eval()  # mixed modes, as in fine-tuning
    model[0].weight.requires_grad_(False)
    if grads:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 3.0)
    before = snapshot(model)
    op = HessianOperator(model, net.images, net.labels, dtype=dtype, micro_chunk=5)
    op.matvec(torch.ones(op.size, dtype=dtype))
    op.gradient()
    op.loss()
    op.accuracy()
    after = snapshot(model)
    for part in ("state", "grads"):
        torch.testing.assert_close(after.pop(part), before.pop(part), rtol=0, atol=0)
    assert after == before


@pytest.mark.parametrize("memory_budget", [0, 2**40])
@pytest.mark.parametrize("changed", ["model", "images", "labels", "weights"])
def test_later_changes_to_the_callers_objects_change_nothing(net, changed, memory_budget):
    given = {
        "model": copy.deepcopy(net.model),
        "images": net.images.clone(),
        "labels": net.labels.clone(),
        "weights": torch.linspace(1, 2, 22),
    }
    op = HessianOperator(**given, micro_chunk=5, memory_budget=memory_budget)
    v = random_vector(op.size, "v", dtype=torch.float32)
    before, loss = op.matvec(v), op.loss()
    target = given[changed]
    with torch.no_grad():
        for tensor in target.parameters() if changed == "model" else [target]:
            tensor.copy_(tensor.flip(0))
    assert (op.loss(), torch.equal(op.matvec(v), before)) == (loss, True)


def test_the_global_generator_is_not_touched(net):
    before = torch.get_rng_state()
    op = operator(net)
    op.matvec(torch.ones(op.size, dtype=DOUBLE))
    op.gradient()
    assert torch.equal(torch.get_rng_state(), before)


def test_building_twice_gives_the_same_bytes(net):
    v = random_vector(len(net.hessian), "v", dtype=torch.float32)
    products = [operator(net, dtype=torch.float32, micro_chunk=5).matvec(v) for _ in range(2)]
    assert torch.equal(*products)


@pytest.mark.parametrize("label", [-100, 3])
def test_a_label_without_output_is_refused(net, label):
    labels = net.labels.clone()
    labels[0] = label
    with pytest.raises(InputError, match="labels"):
        HessianOperator(net.model, net.images, labels)


def test_products_do_not_depend_on_no_grad(net):
    op = HessianOperator(net.model, net.images, net.labels)
    v = torch.ones(op.size)
    with torch.no_grad():
        inside = op.matvec(v)
    assert torch.equal(inside, op.matvec(v))


def test_images_fitted_to_rounding_do_not_fail_the_check_of_derivatives():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        model[2].weight *= 60
        images = torch.randn(2000, 4, generator=make_generator(0, "fit")).double()
        outputs = model(images)
    labels = outputs.argmax(1)
    losses = nn.functional.cross_entropy(outputs, labels, reduction="none")
    # Losses of 3e-14 carry two digits of slope: central differences show rounding alone.
    fitted = (losses - 3e-14).abs().argsort()[:20]
    keep = torch.cat([fitted, losses.argsort()[-4:]])
    HessianOperator(model, images[keep], labels[keep], dtype=DOUBLE)


def test_the_checks_count_nothing_so_that_a_resumed_run_counts_what_a_whole_one_does(trained_net):
    counts = [
        HessianOperator(
            trained_net.model, trained_net.images, trained_net.labels, check=check
        ).count.total
        for check in (True, False)
    ]
    assert counts == [0, 0]
