"""Single steps of the suite for GPUs."""

import dataclasses
import logging

import pytest
import torch
from suite_parts import ledger

from cli.bench.gpu.summary_table import summary_rows
from cli.bench.gpu_ledger.suite import Suite, scaled_seconds
from cli.bench.gpu_ledger.suite_request import SuiteRequest
from cli.bench.gpu_references import sizes
from cli.bench.gpu_references.prepared_folder import read_prepared
from cli.bench.gpu_steps import correctness, products, trainings, tunings
from cli.bench.gpu_steps.training_order import HISTORY
from cli.bench.gpu_steps.ways import EAGER, GRAPHS, training_ways, ways
from spectra.products import Tuning

pytestmark = pytest.mark.card


def test_a_way_that_falls_back_is_heard_and_does_not_count_as_served(tmp_path):
    def fall_back() -> dict:
        logging.getLogger("spectra.products").warning("cannot be recorded")
        return {"right": True}

    step = ledger(tmp_path).step("first", 1.0)
    item = step.item("graphs", fall_back)
    assert item.said == ("cannot be recorded",)
    assert not tunings.served(item)
    assert tunings.served(step.item("eager", lambda: {"right": True}))


@pytest.mark.parametrize("error", [float("nan"), float("inf"), 6e-3])
def test_an_error_that_is_no_number_is_wrong_too(tmp_path, error):
    book = ledger(tmp_path)
    step = book.step("correctness", 1.0)
    step.item("class 8", lambda: {"error": error})
    assert len(correctness.wrong(step)) == 1
    again = ledger(tmp_path).step("correctness", 1.0)  # from disk
    assert len(correctness.wrong(again)) == 1
    assert summary_rows(book)[0][0] == "error against float64"


def test_a_training_that_the_limit_cuts_goes_on_where_it_stood(prepared_folder, tmp_path):
    longer = dataclasses.replace(
        sizes.TOY, trained=("ce-drw",), train_overrides={"epochs": 12, "batch_size": 32},
        keep_epochs=(12,),
    )  # fmt: skip
    asked = SuiteRequest(tmp_path, prepared_folder, device="cpu", sizes=longer)
    book = ledger(tmp_path)
    suite = Suite(asked, read_prepared(prepared_folder, sizes.TOY), book)
    history = tmp_path / "runs" / "ce-drw" / HISTORY

    class UntilAnEpoch(type(book.step("other", 1.0))):
        @property
        def left(self) -> float:
            return 0.0 if history.exists() else 1e6

    step = book.step("trainings", 1.0)
    cut = UntilAnEpoch(**{f.name: getattr(step, f.name) for f in dataclasses.fields(step)})
    trainings.run(suite, cut)
    item = cut.items["ce-drw"]
    assert item.status == "stopped"
    assert 1 <= item.found["epochs"] < 12
    step.items = {}
    trainings.run(suite, step)
    assert step.items["ce-drw"].status == "done"
    epochs = [line.epoch for line in trainings.read_history(history.parent)]
    # The epoch whose state had been saved but not its line is in no line; none is trained twice.
    assert len(set(epochs)) == len(epochs)
    assert epochs[-1] == 12


def test_a_card_too_small_for_two_ways_compares_the_default_one(monkeypatch):
    workload = products.random_workload(
        4, seed=0, dtype=torch.float32, device="cpu", architecture="resnet8"
    )
    monkeypatch.setattr(products, "available_bytes", lambda device: 10_000)
    others = list(ways(on_gpu=False))[1:]
    fit, left_out, budget = products._that_fit(workload, others, each=1000.0)
    # .7 of 10,000 bytes hold one set of 4,000: the default way's.
    assert (fit, left_out, budget) == ([], [way.name for way in others], 7000)


def test_few_images_take_as_long_as_a_card_waits_for_launches():
    assert scaled_seconds(2.0, 50, 83) == 2.0
    assert scaled_seconds(2.0, 83, 2560) == 20.0
    assert scaled_seconds(20.0, 2560, 5120) == 40.0


def test_a_gpus_ways_begin_with_the_eager_one_hold_the_default_and_are_all_different():
    for found in (ways(on_gpu=True), training_ways(on_gpu=True)):
        assert len({way.name for way in found}) == len(found)
    assert EAGER.options == {"tuning": Tuning(graphs=False)}
    assert GRAPHS.options == {}
    assert (ways(on_gpu=True)[0], ways(on_gpu=False)[0]) == (EAGER, EAGER)
    assert GRAPHS in ways(on_gpu=True)
