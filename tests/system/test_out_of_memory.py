import pytest
import torch
from torch import nn

from spectra import HessianOperator, InputError, SpectraError
from spectra.objective.losses.fit import fit_loss
from spectra.operators.curvatures import curvatures
from spectra.products import choose
from spectra.products.choose import WAYS
from spectra.system.allocator import out_of_memory

SHORT = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate"),
]
OTHER = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    NotImplementedError("Trying to use forward AD with foo that does not support it"),
    ValueError("out of memory is what this text says, but the type does not"),
]


@pytest.mark.parametrize("error", SHORT, ids=repr)
def test_an_error_that_means_short_memory_is_told(error):
    assert out_of_memory(error)


@pytest.mark.parametrize("error", OTHER, ids=repr)
def test_other_errors_are_not_taken_for_it(error):
    assert not out_of_memory(error)


def test_what_the_cpu_raises_where_memory_is_short_is_told():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert out_of_memory(caught.value)


def problem() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(3, 2), torch.randn(5, 3), torch.arange(5) % 2


def raises(error: BaseException):
    def function(*args, **kwargs):
        raise error

    return function


@pytest.mark.parametrize("error", [*SHORT, InputError("one of ours")], ids=repr)
def test_curvatures_let_short_memory_and_our_own_errors_through(monkeypatch, error):
    op = HessianOperator(*problem())
    monkeypatch.setattr("spectra.operators.curvatures.by_forward_mode", raises(error))
    with pytest.raises(type(error)) as caught:
        curvatures(op, torch.ones(1, op.size))
    assert caught.value is error


def test_curvatures_come_from_products_where_forward_mode_fails(monkeypatch):
    op = HessianOperator(*problem())
    wanted = op.curvatures(torch.ones(1, op.size))
    monkeypatch.setattr("spectra.operators.curvatures.by_forward_mode", raises(OTHER[0]))
    torch.testing.assert_close(op.curvatures(torch.ones(1, op.size)), wanted)


@pytest.mark.parametrize("error", [*SHORT, SpectraError("one of ours")], ids=repr)
def test_choosing_how_to_make_products_does_so_too(monkeypatch, error):
    model, images, labels = problem()
    monkeypatch.setitem(WAYS, "tangent", raises(error))
    with pytest.raises(type(error)) as caught:
        choose(model.eval(), nn.CrossEntropyLoss(reduction="none"), images, labels)
    assert caught.value is error


def test_a_way_that_fails_otherwise_is_passed_over(monkeypatch):
    model, images, labels = problem()
    monkeypatch.setitem(WAYS, "tangent", raises(OTHER[0]))
    loss = nn.CrossEntropyLoss(reduction="none")
    found = choose(model.eval(), loss, images, labels)
    assert found.name == "double-backward"
    assert "cannot be multiplied" in found.reason


@pytest.mark.parametrize("last", range(1, 8))
def test_a_loss_that_runs_out_of_memory_is_not_taken_for_one_that_cannot(last):
    """The calls that fit it: six in two precisions, and a seventh that compares the two."""
    calls = []

    def loss(outputs, labels):
        calls.append(1)
        if len(calls) == last:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return outputs.square().sum(1)

    outputs = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    with pytest.raises(torch.OutOfMemoryError):
        fit_loss(loss, outputs, torch.tensor([0, 1]), of_all=torch.tensor([0, 1]))
