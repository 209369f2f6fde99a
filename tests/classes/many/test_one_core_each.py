"""Small losses of many, several at once: the dense Hessian's ends, whatever the number of cores."""

import pytest
import torch
from oracles import dense_hessian, refill
from torch import Tensor, nn

from spectra import Analysis, NonFiniteError, analyze_classes
from spectra.classes.many import small_loss, small_losses
from spectra.system.precision import settings_are_held

SIZES = (1, 3, 5, 40)
# Ends within their residuals of 3 %, the error of an eigenvalue being some square of that.
TOLERANCE = 0.01


def analyzed(model: nn.Module, data: tuple[Tensor, Tensor], *, many: int = 3, **options):
    threads = options.pop("threads", 2)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_losses, "MANY", many)
        try:
            return analyze_classes(model, data, num_probes=0, micro_chunk=32, **options)
        finally:
            torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    layers = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.AdaptiveAvgPool2d(2)
    return refill(nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, len(SIZES))), "many").eval()


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    labels = torch.arange(len(SIZES)).repeat_interleave(torch.tensor(SIZES))
    return torch.randn(len(labels), 2, 4, 4, generator=torch.Generator().manual_seed(0)), labels


@pytest.fixture(scope="module")
def beside(model, data) -> Analysis:
    return analyzed(model, data)


def test_ends_of_every_class_are_those_of_its_dense_hessian(model, data, beside):
    images, labels = data
    for record in beside.records:
        mine = labels == int(record.label)
        exact = torch.linalg.eigvalsh(dense_hessian(model, images[mine], labels[mine]))
        largest = float(exact.abs().max())
        assert record.converged
        assert record.lambda_min == pytest.approx(float(exact[0]), abs=TOLERANCE * largest)
        assert record.lambda_max == pytest.approx(float(exact[-1]), rel=TOLERANCE)


def test_a_record_says_how_it_was_found_and_large_classes_go_the_usual_way(beside):
    found = [record.products for record in beside.records]
    assert found == ["tangent, one core a loss"] * 3 + ["tangent"]


def test_results_are_those_of_one_class_after_the_other(model, data, beside):
    after = analyzed(model, data, many=100)
    for one, other in zip(after.records, beside.records, strict=True):
        assert other.n == one.n
        assert other.loss == pytest.approx(one.loss, rel=1e-6)
        assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-6)
        assert other.fit_accuracy == one.fit_accuracy
        scale = 0.03 * one.lambda_max  # what either was asked for
        assert other.lambda_min == pytest.approx(one.lambda_min, abs=scale)
        assert other.lambda_max == pytest.approx(one.lambda_max, abs=scale)
        assert (other.bootstrap is None) == (one.bootstrap is None)
        if one.bootstrap is not None and other.bootstrap is not None:
            upper = one.bootstrap.largest.upper
            assert other.bootstrap.largest.upper == pytest.approx(upper, rel=0.03)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_no_bit(model, data, beside, threads):
    found = analyzed(model, data, threads=threads)
    assert [repr(r) for r in found.records[:3]] == [repr(r) for r in beside.records[:3]]


def test_a_class_without_numbers_is_named_when_the_others_are_there(model, data, monkeypatch):
    def fails_for_one(op, *, label, **options):
        if label == "1":
            raise NonFiniteError("class 1: the product of Lanczos step 3 held NaN or infinity")
        return usual(op, label=label, **options)

    usual, seen = small_loss.analyze_loss, []
    monkeypatch.setattr(small_loss, "analyze_loss", fails_for_one)
    told = {"on_progress": lambda what, *_: seen.append(what), "bending": False}
    with pytest.raises(NonFiniteError, match=r"class 1: .*NaN or infinity") as caught:
        analyzed(model, data, **told)
    assert isinstance(caught.value.found, Analysis)
    assert [record.label for record in caught.value.found.records] == ["0", "2", "3"]
    assert {"class 0 (1 of 4)", "class 2 (3 of 4)"} <= set(seen)
    assert not settings_are_held()


def test_products_in_float64_are_analyzed_so_too(model, data):
    found = analyzed(model, data, dtype=torch.float64, bending=False)
    assert [r.products for r in found.records[:3]] == ["tangent, one core a loss"] * 3
    assert all(record.converged for record in found.records)
