import copy

import pytest
import torch
from oracles import cross_entropy, dense_hessian, random_vector
from product_nets import (
    DOUBLE_BACKWARD,
    LINEARIZE,
    NETS,
    TANGENT,
    images_and_labels,
    make_net,
    operator,
)
from torch import Tensor, nn

from spectra import HessianOperator, InputError
from spectra.operators.curvatures import by_forward_mode, by_products
from spectra.products import WAYS, Tuning
from spectra.products.tangent import folding
from spectra.products.tuning import LAYOUTS

DOUBLE = torch.float64
# Relative to max|H| or ‖H v‖: sums of some thousand terms in float64, each way in another order.
ROUNDING = 1e-12


def assert_same_product(a: HessianOperator, b: HessianOperator) -> None:
    v = random_vector(a.size, "v")
    expected = b.matvec(v)
    assert float(expected.norm()) > 0
    assert float((a.matvec(v) - expected).norm()) <= ROUNDING * float(expected.norm())


@pytest.mark.parametrize("name", sorted(NETS))
def test_double_backward_is_the_dense_hessian(name):
    if name in DOUBLE_BACKWARD:
        pytest.skip("the oracle is torch.func, which these nets are there to be refused by")
    model = make_net(name)
    op = operator(model, products="double-backward")
    v = random_vector(op.size, "v")
    expected = dense_products(model, v)
    assert float((op.matvec(v) - expected).norm()) <= ROUNDING * float(expected.norm())


def dense_products(model: nn.Module, v: Tensor) -> Tensor:
    """Return H v from the dense matrix on a chain of few parameters, by torch.func elsewhere."""
    images, labels = images_and_labels()
    if sum(p.numel() for p in model.parameters()) < 1000:
        return dense_hessian(model, images, labels) @ v
    double = copy.deepcopy(model).double()
    names = [n for n, _ in double.named_parameters()]
    point = {n: p.detach() for n, p in double.named_parameters()}

    def loss(named: dict[str, Tensor]) -> Tensor:
        outputs = torch.func.functional_call(double, named, (images.double(),))
        return cross_entropy(outputs, labels).mean()

    pieces = v.split([p.numel() for p in point.values()])
    along = {n: piece.view_as(point[n]) for n, piece in zip(names, pieces, strict=True)}
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        _, pull = torch.func.vjp(torch.func.grad(loss), point)
        (moved,) = pull(along)  # H is symmetric
    return torch.cat([moved[n].reshape(-1) for n in names])


@pytest.mark.parametrize("name", sorted(TANGENT))
def test_tangent_pass_gives_the_product_of_double_backward(name):
    model = make_net(name)
    assert_same_product(
        operator(model, products="tangent"), operator(model, products="double-backward")
    )


# Tracing takes seconds: some nets stand for the others, in one chunk.
LINEARIZED = [*sorted(LINEARIZE), "activations", "cosine-head", "max-pool"]


@pytest.mark.parametrize("name", LINEARIZED)
def test_linearized_gradient_gives_the_product_of_double_backward(name):
    model = make_net(name)
    assert_same_product(
        operator(model, products="linearize", micro_chunk=7),
        operator(model, products="double-backward"),
    )


@pytest.mark.parametrize("name", sorted(NETS))
def test_the_fastest_way_that_serves_is_chosen(name):
    wanted = next(
        way
        for way, nets in zip(WAYS, (TANGENT, LINEARIZE, DOUBLE_BACKWARD), strict=True)
        if name in nets
    )
    assert operator(name).choice.name == wanted


def test_the_choice_says_nothing_where_the_fastest_way_serves():
    assert operator("conv-bn-relu").choice.reason == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("control-flow-by-shape", "tangent: not a chain of known layers"),
        ("same-padding", "tangent: not a chain of known layers"),
        ("overwritten-value", "tangent: differs from double backward"),
        ("tied-weights", "tangent: differs from double backward"),
    ],
)
def test_the_choice_says_why_the_tangent_pass_does_not_serve(name, reason):
    assert operator(name).choice.reason == reason


@pytest.mark.parametrize("name", DOUBLE_BACKWARD)
def test_the_choice_says_why_nothing_but_double_backward_serves(name):
    choice = operator(name).choice
    assert choice.name == "double-backward"
    tangent, linearize = choice.reason.split("; ", 1)
    assert tangent.startswith("tangent: ")
    assert linearize.startswith("linearize: ")
    assert len(linearize) > len("linearize: ")


FROZEN = {
    "all-weights": lambda name, p: p.ndim > 1,
    "all-vectors": lambda name, p: p.ndim == 1,
    "norm-weights": lambda name, p: p.ndim == 1 and name.endswith("weight"),
    "biases": lambda name, p: name.endswith("bias"),
    "all-but-first": None,
    "all-but-last": None,
}


def freeze(model: nn.Module, which: str) -> nn.Module:
    named = list(model.named_parameters())
    kept = {"all-but-first": named[0][0], "all-but-last": named[-1][0]}.get(which)
    for name, p in named:
        frozen = name != kept if kept is not None else FROZEN[which](name, p)
        p.requires_grad_(not frozen)
    return model


@pytest.mark.parametrize("which", FROZEN)
@pytest.mark.parametrize(
    ("way", "name"),
    [
        *(("tangent", name) for name in ("conv-bn-relu", "activations", "cosine-head")),
        *((way, "flatten-first") for way in ("tangent", "linearize")),
    ],
)
def test_frozen_parameters_leave_the_products_of_the_others(way, name, which):
    model = freeze(make_net(name), which)
    assert_same_product(
        operator(model, products=way, micro_chunk=7),
        operator(model, products="double-backward"),
    )


def test_a_way_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match=r"one of tangent, linearize, double-backward or auto"):
        operator("no-bias", products="forward")


def test_a_tangent_pass_over_unknown_layers_is_refused():
    with pytest.raises(InputError, match="not a chain of known layers; use auto"):
        operator("control-flow-by-shape", products="tangent")


EACH_WAY = pytest.mark.parametrize("way", WAYS)


@EACH_WAY
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_rows_of_matmat_are_matvecs_to_the_bit(way, dtype):
    op = operator("activations", products=way, dtype=dtype)
    vectors = torch.stack([random_vector(op.size, i, dtype=dtype) for i in range(3)])
    rows = op.matmat(vectors)
    assert all(torch.equal(row, op.matvec(v)) for row, v in zip(rows, vectors, strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stacked", [1, 2, 5])
@pytest.mark.parametrize("name", sorted(TANGENT))
def test_stacked_vectors_and_layouts_give_the_products_of_double_backward(name, stacked, layout):
    model, tuning = make_net(name), Tuning(layout=layout, stacked=stacked)
    op = operator(model, products="tangent", tuning=tuning)
    vectors = torch.stack([random_vector(op.size, i) for i in range(5)])
    expected = operator(model, products="double-backward").matmat(vectors)
    assert float((op.matmat(vectors) - expected).norm()) <= ROUNDING * float(expected.norm())


@pytest.mark.parametrize("which", FROZEN)
@pytest.mark.parametrize("name", ["conv-bn-relu", "activations", "groups"])
def test_stacked_vectors_leave_frozen_parameters_out(name, which):
    model = freeze(make_net(name), which)
    op = operator(model, products="tangent", tuning=Tuning(stacked=3))
    vectors = torch.stack([random_vector(op.size, i) for i in range(3)])
    expected = operator(model, products="double-backward").matmat(vectors)
    assert float((op.matmat(vectors) - expected).norm()) <= ROUNDING * float(expected.norm())


def test_weights_too_many_to_be_paired_give_the_same_products(monkeypatch):
    expected = operator("option-a", products="tangent")
    monkeypatch.setattr(folding, "LARGEST_PAIRED", 0)
    op = operator("option-a", products="tangent")
    assert op._products.folding._pairs.layers == []
    assert_same_product(op, expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"layout": "nhwc"}, "channels-last, contiguous"), ({"stacked": 0}, "must be an integer")],
)
def test_a_tuning_that_does_not_exist_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        Tuning(**options)


@EACH_WAY
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_kept_primal_work_changes_no_byte(way, dtype):
    model = make_net("same-padding" if way == "linearize" else "option-b")
    ops = [operator(model, products=way, dtype=dtype, memory_budget=b) for b in (0, 2**40)]
    for name in "uv":  # the second product uses what the first one kept
        v = random_vector(ops[0].size, name, dtype=dtype)
        assert torch.equal(*(op.matvec(v) for op in ops))


@pytest.mark.parametrize(
    ("way", "name"),
    [
        *((way, name) for way in ("tangent", "double-backward") for name in sorted(TANGENT)),
        *(("linearize", name) for name in LINEARIZED),
    ],
)
def test_a_product_leaves_the_next_one_as_it_was(way, name):
    op = operator(name, products=way, micro_chunk=7)
    u, v = (random_vector(op.size, name) for name in "uv")
    before = op.matvec(v)
    op.matvec(u)
    assert torch.equal(op.matvec(v), before)


def test_strided_1x1_convolutions_of_few_channels_write_nowhere_else():
    # oneDNN 3.12 wrote past its memory and ended the process within a few products.
    op = operator("strided-1x1", dtype=torch.float32, products="tangent", micro_chunk=7)
    v = random_vector(op.size, "v", dtype=torch.float32)
    before = op.matvec(v)
    for _ in range(100):
        torch.randn(50)
        assert torch.equal(op.matvec(v), before)


def test_kept_memory_stays_within_the_budget_and_is_counted():
    ops = [operator("option-a", memory_budget=b, micro_chunk=1) for b in (0, 200_000, 2**30)]
    for op in ops:
        op.matvec(random_vector(op.size, "v"))
    used = [op._kept.nbytes for op in ops]
    assert used[0] == 0 < used[1] <= 200_000 < used[2]


def test_forgetting_kept_work_changes_no_byte():
    op = operator("activations")
    v = random_vector(op.size, "v")
    before = op.matvec(v)
    op.forget()
    assert torch.equal(op.matvec(v), before)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("micro_chunk", [3, 7], ids=["three chunks", "one chunk"])
@pytest.mark.parametrize("name", ["option-a", "cosine-head", "view-by-size"])
def test_bytes_do_not_depend_on_the_number_of_threads(threads, name, micro_chunk):
    found = []
    for count in (1, 2):
        threads(count)
        op = operator(name, dtype=torch.float32, micro_chunk=micro_chunk)
        assert op.choice.name == "tangent"
        product = op.matvec(random_vector(op.size, "v", dtype=torch.float32))
        found.append(torch.cat([product.double(), op.gradient(), op.scores().double()]))
        found[-1] = torch.cat([found[-1], torch.tensor([op.loss()], dtype=DOUBLE)])
    assert torch.equal(*found)


def test_parts_of_a_partition_sum_to_the_whole():
    weights = torch.linspace(0.5, 2, 7, dtype=DOUBLE)
    op = operator("activations", weights=weights)
    v = random_vector(op.size, "v")
    parts = [op.over_images(torch.tensor(i)) for i in ([4, 0, 2], [1], [6, 3, 5])]
    expected = op.matvec(v)
    error = float((sum(part.matvec(v) for part in parts) - expected).norm())
    assert error <= ROUNDING * float(expected.norm())


def test_a_part_keeps_the_weight_of_the_whole():
    op = operator("no-bias", weights=torch.arange(1.0, 8.0))
    part = op.over_images(torch.tensor([2, 5]))
    assert (part.total_weight, part.weights.tolist()) == (28.0, [3.0, 6.0])


def test_a_part_does_not_use_the_kept_work_of_the_whole():
    op, index = operator("no-bias"), torch.tensor([6, 5, 4])
    v = random_vector(op.size, "v")
    expected = op.over_images(index).matvec(v)
    op.matvec(v)
    assert torch.equal(op.over_images(index).matvec(v), expected)


def test_parts_and_the_whole_keep_work_within_one_budget():
    op = operator("no-bias", micro_chunk=1)
    v = random_vector(op.size, "v")
    op.matvec(v)
    chunk = op._kept.nbytes // op.num_images
    op.forget()
    op = op.with_memory_budget(4 * chunk)
    part = op.over_images(torch.tensor([0, 1, 2]))
    part.matvec(v)
    op.matvec(v)
    assert (part._kept.nbytes, op._kept.nbytes) == (3 * chunk, chunk)
    part.forget()
    op.matvec(v)
    assert (part._kept.nbytes, op._kept.nbytes) == (0, 4 * chunk)
    del part
    op.forget()
    other = op.over_images(torch.tensor([3, 4]))
    other.matvec(v)
    del other  # what is gone takes nothing
    op.matvec(v)
    assert op._kept.nbytes == 4 * chunk


def test_a_part_in_float64_keeps_the_weight_of_the_whole():
    op = operator("activations", dtype=torch.float32)
    double = op.over_images(torch.tensor([1, 2])).in_float64()
    expected = operator("activations").over_images(torch.tensor([1, 2]))
    assert double.total_weight == 7.0
    assert_same_product(double, expected)


def test_products_in_float64_count_double_in_the_shared_count():
    op = operator("no-bias", dtype=torch.float32)
    double = op.in_float64()
    assert double.count is op.count
    op.matvec(torch.ones(op.size))
    double.matmat(torch.ones(2, op.size, dtype=DOUBLE))
    assert (op.count.products, op.count.double_products) == (7, 14)
    assert op.count.total == 7 + 2 * 14


def test_an_operator_in_float64_is_its_own_double_and_counts_once():
    op = operator("no-bias")
    assert op.in_float64() is op
    op.matvec(torch.ones(op.size, dtype=DOUBLE))
    assert op.count.total == 7


def test_six_forward_passes_count_as_one_product():
    op = operator("no-bias")
    for _ in range(6):
        op.scores()
    assert op.count.total == 7


def test_parts_count_with_the_whole():
    op = operator("no-bias")
    op.over_images(torch.tensor([0, 1])).matvec(torch.ones(op.size, dtype=DOUBLE))
    assert op.count.products == 2


def test_scores_are_the_weighted_distances_of_probabilities_from_the_label():
    model, weights = make_net("activations"), torch.linspace(0, 2, 7, dtype=DOUBLE)
    op = operator(model, weights=weights)
    images, labels = images_and_labels()
    with torch.no_grad():
        probabilities = copy.deepcopy(model).double()(images.double()).softmax(1)
    distance = (probabilities - nn.functional.one_hot(labels, 4)).norm(dim=1)
    # Entries below 2; some ulp.
    torch.testing.assert_close(op.scores(), weights * distance, rtol=0, atol=1e-14)


def test_scaled_products_are_the_products_in_float64():
    op = operator("activations", dtype=torch.float32)
    vectors = torch.stack([random_vector(op.size, i, dtype=torch.float32) for i in range(2)])
    products, _ = op.scaled_products(vectors)
    assert products.dtype == DOUBLE
    assert torch.equal(products.float(), op.matmat(vectors))


def test_scales_are_the_sums_of_the_norms_of_chunks():
    op = operator("activations", weights=torch.linspace(0.5, 2, 7))
    vectors = torch.stack([random_vector(op.size, i) for i in range(2)])
    _, scales = op.scaled_products(vectors)
    norms = [[op.chunk_product(c, v).norm() for c in op.chunks()] for v in vectors]
    expected = torch.tensor(norms, dtype=DOUBLE).sum(1) / op.total_weight
    torch.testing.assert_close(scales, expected, rtol=ROUNDING, atol=0)


def test_one_chunk_has_the_norm_of_its_product_as_scale():
    op = operator("activations", micro_chunk=7)
    products, scales = op.scaled_products(random_vector(op.size, "v")[None])
    torch.testing.assert_close(scales, products.norm(dim=1), rtol=ROUNDING, atol=0)


@pytest.mark.parametrize("method", ["matmat", "scaled_products", "curvatures"])
@pytest.mark.parametrize("shape", [(5,), (2, 5)])
def test_vectors_of_another_shape_are_refused(method, shape):
    op = operator("no-bias")
    with pytest.raises(InputError, match=rf"\(K, {op.size}\), got"):
        getattr(op, method)(torch.ones(shape))


@pytest.mark.parametrize("name", ["option-b", "max-pool", "control-flow-by-shape", "cosine-head"])
def test_both_ways_to_curvatures_agree(name):
    op = operator(name, weights=torch.linspace(0, 2, 7))
    vectors = torch.stack([random_vector(op.size, i) for i in range(2)])
    expected = by_products(op, vectors)
    # Terms of both signs cancel in q; the largest is their size.
    atol = 100 * ROUNDING * float(expected.abs().max())
    torch.testing.assert_close(by_forward_mode(op, vectors), expected, rtol=0, atol=atol)


def test_curvatures_are_those_of_each_images_dense_hessian():
    model = make_net("conv-bn-relu")
    op = operator(model, weights=torch.linspace(0, 2, 7))
    images, labels = images_and_labels()
    v = random_vector(op.size, "v")
    expected = torch.stack(
        [v @ dense_hessian(model, images[i : i + 1], labels[i : i + 1]) @ v for i in range(7)]
    )
    atol = 100 * ROUNDING * float(expected.abs().max())
    torch.testing.assert_close(op.curvatures(v[None])[0], expected, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ["activations", "no-forward-mode"])
def test_the_weighted_mean_of_curvatures_is_that_of_the_whole(name):
    weights = torch.linspace(0, 2, 7, dtype=DOUBLE)
    op = operator(name, weights=weights)
    v = random_vector(op.size, "v")
    mean = float((weights * op.curvatures(v[None])[0]).sum() / weights.sum())
    assert mean == pytest.approx(float(v @ op.matvec(v)), rel=100 * ROUNDING)


@pytest.mark.parametrize("name", ["no-forward-mode", "activations"])
def test_curvatures_without_forward_mode_come_from_products(name):
    op = operator(name)  # SiLU has one derivative in forward mode, not two
    v = random_vector(op.size, "v")[None]
    with pytest.raises(RuntimeError):
        by_forward_mode(op, v)
    assert torch.equal(op.curvatures(v), by_products(op, v))


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_curvatures_where_forward_mode_is_wrong_come_from_products(dtype):
    # torch 2.13: forward mode over forward mode of a layer norm is wrong by a tenth.
    op = operator("attention", dtype=dtype, products="double-backward")
    v = random_vector(op.size, "v", dtype=dtype)[None]
    assert torch.equal(op.curvatures(v), by_products(op, v))


def test_an_image_of_weight_zero_has_a_curvature():
    weights = torch.ones(7)
    weights[0] = 0
    op, plain = operator("option-b", weights=weights), operator("option-b")
    v = random_vector(op.size, "v")[None]
    assert torch.equal(op.curvatures(v), plain.curvatures(v))


def test_curvatures_in_float32_are_those_in_float64_to_its_rounding():
    op = operator("option-b", dtype=torch.float32)
    v = random_vector(op.size, "v", dtype=torch.float32)[None]
    found, exact = op.curvatures(v), op.in_float64().curvatures(v.double())
    # Float32 sums of some thousand terms.
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-4 * float(exact.abs().max()))
