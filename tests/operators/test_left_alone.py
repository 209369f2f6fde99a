"""What an operator leaves as it was, and what its bytes do not depend on."""

import copy

import pytest
import torch
from oracles import (
    hessian_of,
    random_vector,
)
from torch import nn

from spectra import HessianOperator, InputError

DOUBLE = torch.float64


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
    op = hessian_of(net)
    op.matvec(torch.ones(op.size, dtype=DOUBLE))
    op.gradient()
    assert torch.equal(torch.get_rng_state(), before)


def test_building_twice_gives_the_same_bytes(net):
    v = random_vector(len(net.hessian), "v", dtype=torch.float32)
    products = [hessian_of(net, dtype=torch.float32, micro_chunk=5).matvec(v) for _ in range(2)]
    assert torch.equal(*products)


def test_products_do_not_depend_on_no_grad(net):
    op = HessianOperator(net.model, net.images, net.labels)
    v = torch.ones(op.size)
    with torch.no_grad():
        inside = op.matvec(v)
    assert torch.equal(inside, op.matvec(v))


def test_the_checks_count_nothing_so_that_a_resumed_run_counts_what_a_whole_one_does(trained_net):
    counts = [
        HessianOperator(
            trained_net.model, trained_net.images, trained_net.labels, check=check
        ).count.total
        for check in (True, False)
    ]
    assert counts == [0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("kind", ["smooth_mlp", "conv_resnet"])
def test_result_bytes_do_not_depend_on_the_memory_budget(trained_nets, kind, dtype):
    ops = [
        hessian_of(trained_nets[kind], dtype=dtype, micro_chunk=5, memory_budget=budget)
        for budget in (0, 300_000, 2**40)
    ]
    for name in "uv":  # the second product uses the graphs that the first one kept
        v = random_vector(ops[0].size, name, dtype=dtype)
        products = [op.matvec(v) for op in ops]
        assert torch.equal(products[0], products[1])
        assert torch.equal(products[0], products[2])


@pytest.mark.parametrize("way", ["tangent", "double-backward"])
def test_autocast_around_a_caller_changes_no_byte(trained_nets, way):
    net = trained_nets["conv_resnet"]
    op = HessianOperator(net.model, net.images, net.labels, products=way)
    v = random_vector(op.size, dtype=torch.float32)
    expected = op @ v, op.gradient(), op.loss(), op.curvatures(v[None]), op.gauss_newton() @ v
    with torch.autocast("cpu", torch.bfloat16):
        inside = HessianOperator(net.model, net.images, net.labels, products=way)
        for at in (op, inside):
            found = at @ v, at.gradient(), at.loss(), at.curvatures(v[None]), at.gauss_newton() @ v
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
        assert torch.is_autocast_enabled("cpu")


@torch.inference_mode()
def test_inference_mode_is_refused_in_one_line(trained_nets):
    net = trained_nets["softmax"]
    with pytest.raises(InputError, match=r"derivatives cannot be taken in torch\.inference_mode"):
        HessianOperator(net.model, net.images, net.labels)


def test_products_in_inference_mode_are_refused_in_one_line(trained_nets):
    net = trained_nets["softmax"]
    op = HessianOperator(net.model, net.images, net.labels)
    with torch.inference_mode(), pytest.raises(InputError, match="leave it first"):
        op.matvec(torch.ones(op.size))


def test_complex_vectors_are_refused_not_cut(trained_nets):
    net = trained_nets["softmax"]
    op = HessianOperator(net.model, net.images, net.labels)
    v = torch.ones(op.size, dtype=torch.complex64)
    with pytest.raises(InputError, match=r"takes real numbers, got torch\.complex64"):
        op @ v
    for columns in (v.numpy(), v.numpy()[:, None]):
        with pytest.raises(InputError, match=r"H\.to_scipy\(\) takes real numbers, got complex64"):
            op.to_scipy() @ columns
