"""What a run of the suite keeps: items, steps and seconds."""

import json

import pytest
from suite_parts import ledger

from cli.bench.gpu_ledger.results import Item, plain
from cli.bench.gpu_ledger.step import CutShort


def test_an_item_is_on_disk_before_the_next_one_begins(tmp_path):
    step = ledger(tmp_path).step("first", 1.0)
    step.item("one", lambda: {"value": 1})

    def look() -> dict:
        kept = json.loads((tmp_path / "results.json").read_text())
        assert kept["steps"]["first"]["items"]["one"]["value"] == 1
        assert json.loads((tmp_path / "steps" / "01-first.json").read_text())["items"]["one"]
        return {"seen": True}

    assert step.item("two", look).found["seen"]


def test_an_item_that_raises_is_recorded_and_the_next_one_runs(tmp_path):
    step = ledger(tmp_path).step("first", 1.0)

    def fail() -> dict:
        raise RuntimeError("no such\nkernel")

    assert step.item("one", fail) is None
    assert step.item("two", lambda: {}) is not None
    step.close()
    assert step.items["one"].reason == "RuntimeError: no such kernel"
    assert (step.status, step.reason) == ("failed", "failed: one")


def test_an_item_that_would_not_fit_is_skipped_and_says_so(tmp_path):
    step = ledger(tmp_path, seconds=100).step("first", 0.5)
    assert step.item("small", lambda: {}, estimate=10) is not None
    assert step.item("large", lambda: {}, estimate=60) is None
    step.close()
    assert step.items["large"].reason.endswith("some 60 s were needed")
    assert (step.status, step.reason) == ("stopped", "no time for large")


@pytest.mark.parametrize(("identity", "calls"), [("same", 1), ("other", 2)])
def test_a_finished_item_is_taken_from_disk_where_it_is_of_the_same_run(tmp_path, identity, calls):
    made = []

    def work() -> dict:
        made.append(1)
        return {}

    ledger(tmp_path).step("first", 1.0).item("one", work)
    ledger(tmp_path, identity=identity).step("first", 1.0).item("one", work)
    assert len(made) == calls


def test_a_repeated_run_that_is_killed_early_loses_nothing_of_the_later_steps(tmp_path):
    book = ledger(tmp_path)
    for name in ("first", "second"):
        book.step(name, 1.0).item("one", lambda: {})
    ledger(tmp_path).step("first", 1.0)  # and no more
    again = ledger(tmp_path)
    assert again.step("first", 1.0).done("one")
    assert again.step("second", 1.0).done("one")


def test_what_failed_or_was_cut_is_done_again(tmp_path):
    step = ledger(tmp_path).step("first", 1.0)
    step.item("failed", lambda: {}["nothing"])
    step.item("cut", lambda: CutShort({"epochs": 1}))
    again = ledger(tmp_path).step("first", 1.0)
    assert again.items == {}


@pytest.mark.parametrize(
    "item",
    [
        Item("done", seconds=1.5, said=("slow",), peak_bytes=8, found={"error": "inf", "n": 3}),
        Item("failed", "RuntimeError: no such kernel", 0.5),
        Item("skipped", "0 s were left"),
    ],
    ids=lambda item: item.status,
)
def test_an_item_is_read_back_as_it_was_written(item):
    assert Item.from_dict(json.loads(json.dumps(item.to_dict()))) == item


def test_numbers_that_json_lacks_become_words():
    assert plain({"a": (float("inf"), 1.0)}) == {"a": ["inf", 1.0]}
