"""Small losses that share a pass: each as it is alone, whatever the others do."""

import logging

import pytest
import torch
from oracles import dense_hessian, refill
from torch import Tensor, nn

from spectra import NonFiniteError, SolverSettings
from spectra.classes.each_loss import PreparedLoss, analyze_each
from spectra.classes.many import in_blocks, small_loss, small_losses
from spectra.classes.many.in_turn import InTurn
from spectra.findings.loss_analysis import LossAnalysis
from spectra.operators.hessian import HessianOperator
from spectra.operators.many_losses.same_network import over_samples
from spectra.products.block import block_chunk
from spectra.products.tuning import Tuning

# One of them is too large for a block of four.
SIZES = (1, 3, 7, 2, 5, 4, 6, 9)
SETTINGS = SolverSettings(num_probes=0, bending=False)
DOUBLE = torch.float64


@pytest.fixture(scope="module")
def model() -> nn.Module:
    layers = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.AdaptiveAvgPool2d(2)
    return refill(nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 3)), "many").eval()


@pytest.fixture(scope="module")
def data() -> dict[str, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return {
        str(c): (torch.randn(n, 2, 4, 4, generator=generator), torch.arange(n) % 3)
        for c, n in enumerate(SIZES)
    }


def analyzed(
    model: nn.Module, data: dict[str, tuple[Tensor, Tensor]], losses: int | None, **options
) -> dict[str, LossAnalysis]:
    given = {"dtype": DOUBLE, **options}

    def prepare(label, classes, *, check, like=None):
        images, labels = data[label]
        if like is not None:
            return PreparedLoss(over_samples(like, images, labels, label=label))
        tuning = Tuning(losses=losses)
        op = HessianOperator(
            *(model, images, labels),
            check=False, memory_budget=0, micro_chunk=32, label=label, tuning=tuning, **given,
        )  # fmt: skip
        return PreparedLoss(op)

    chosen = {label: (int(label),) for label in data}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_losses, "MANY", 3 if losses else 100)
        return {r.label: r for r in analyze_each(chosen, prepare, settings=SETTINGS)}


@pytest.fixture(scope="module")
def together(model, data) -> dict[str, LossAnalysis]:
    return analyzed(model, data, 4)


def test_a_record_says_how_many_losses_shared_a_pass_and_larger_ones_share_none(together):
    found = {label: together[label].products for label in sorted(together)}
    assert [found[str(c)] for c in range(7)] == ["tangent, block of 4 losses"] * 7
    assert found["7"] == "tangent"


def test_ends_are_those_of_one_loss_after_the_other_and_of_the_dense_hessian(model, data, together):
    after = analyzed(model, {label: data[label] for label in ("0", "2", "4", "7")}, None)
    for label, one in after.items():
        other = together[label]
        images, labels = data[label]
        scale = one.lambda_max
        assert (other.n, other.steps, other.converged) == (one.n, one.steps, True)
        assert other.lambda_max == pytest.approx(one.lambda_max, rel=1e-10)
        assert other.lambda_min == pytest.approx(one.lambda_min, abs=1e-10 * scale)
        assert other.loss == one.loss
        exact = torch.linalg.eigvalsh(dense_hessian(model, images, labels))
        # A residual of 3 %, the error of an eigenvalue being some square of that.
        assert other.lambda_min == pytest.approx(float(exact[0]), abs=0.01 * scale)
        assert other.lambda_max == pytest.approx(float(exact[-1]), rel=0.01)


@pytest.mark.parametrize("kind", ["group norm", "fully connected"])
def test_other_networks_share_passes_too(kind, data):
    layers = {
        "group norm": (nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.GELU(), nn.Flatten()),
        "fully connected": (nn.Flatten(), nn.Linear(32, 4), nn.Tanh(), nn.Linear(4, 16)),
    }
    model = refill(nn.Sequential(*layers[kind], nn.Linear(16, 3)), kind).eval()
    few = {label: data[label] for label in ("0", "2", "4")}
    found, after = analyzed(model, few, 4), analyzed(model, few, None)
    for label, one in after.items():
        assert found[label].products == "tangent, block of 4 losses"
        assert found[label].lambda_max == pytest.approx(one.lambda_max, rel=1e-10)
        scale = 1e-10 * one.lambda_max
        assert found[label].lambda_min == pytest.approx(one.lambda_min, abs=scale)


def test_who_shares_a_pass_changes_no_bit(model, data, together):
    few = analyzed(model, {label: data[label] for label in ("0", "3", "5")}, 4)
    assert [repr(few[label]) for label in few] == [repr(together[label]) for label in few]


def test_float32_products_are_shared_and_judged_in_float64(model, data, together):
    found = analyzed(model, data, 4, dtype=torch.float32)
    for label, record in together.items():
        assert found[label].lambda_max == pytest.approx(record.lambda_max, rel=1e-5)
        assert found[label].products == record.products


def test_a_loss_without_numbers_is_named_and_the_others_go_on(model, data, monkeypatch):
    def fails_for_one(op, *, label, **options):
        if label == "1":
            raise NonFiniteError("class 1: the product of Lanczos step 3 held NaN or infinity")
        made.append(label)
        return usual(op, label=label, **options)

    usual, made = small_loss.analyze_loss, []
    monkeypatch.setattr(small_loss, "analyze_loss", fails_for_one)
    with pytest.raises(NonFiniteError, match=r"class 1: .*NaN or infinity"):
        analyzed(model, data, 4)
    assert sorted(made) == ["0", "2", "3", "4", "5", "6"]


def test_a_pass_that_is_wrong_is_not_believed(model, data, together, monkeypatch, caplog):
    usual = block_chunk.BlockChunk.product
    monkeypatch.setattr(block_chunk.BlockChunk, "product", lambda self, v: 1.01 * usual(self, v))
    with caplog.at_level(logging.WARNING):
        found = analyzed(model, data, 4)
    assert "differs from a product of the loss alone" in caplog.text
    assert found["2"].products == "tangent"
    assert found["2"].lambda_max == pytest.approx(together["2"].lambda_max, rel=1e-10)


def test_memory_limits_how_many_share_a_pass(model, data, monkeypatch):
    size = sum(p.numel() for p in model.parameters())
    monkeypatch.setattr(in_blocks, "_WORK", 2**28 // (8 * size))  # a quarter of a GiB for each
    monkeypatch.setattr(in_blocks, "default_limit", lambda device: 2**34)
    monkeypatch.setattr(in_blocks, "resident_bytes", lambda device: 2**34 - 7 * 2**27)
    found = analyzed(model, {label: data[label] for label in ("0", "3", "5")}, 4)
    assert {record.products for record in found.values()} == {"tangent, block of 3 losses"}


def test_losses_that_memory_has_no_room_for_go_one_after_the_other(model, data, monkeypatch):
    monkeypatch.setattr(in_blocks, "resident_bytes", lambda device: 2**62)
    found = analyzed(model, {label: data[label] for label in ("0", "3", "5")}, 4)
    assert not [record.products for record in found.values() if "block" in record.products]


def test_work_in_turn_goes_on_with_each_answer_and_ends_where_it_is_stopped():
    def doubles(ask):
        return [2 * ask(k) for k in range(3)]

    one, other = InTurn(doubles), InTurn(doubles)
    for answer in (10, 20, 30):
        assert one.question == (answer // 10) - 1
        one.answer(answer)
    assert (one.done, one.result) == (True, [20, 40, 60])
    other.stop()
    assert not other._thread.is_alive()
    failing = InTurn(lambda ask: 1 / ask("divisor"))
    failing.answer(0)
    assert isinstance(failing.error, ZeroDivisionError)
