"""How products are computed: choosing it by name, by measuring, and recording them."""

import logging

import pytest
import torch
from oracles import random_vector
from product_nets import images_and_labels, make_net, operator

from checkpoints.analysis.request import AnalysisRequest
from spectra import InputError, SolverSettings
from spectra.engines import memory
from spectra.engines.forecasts.memory_forecast import MemoryForecast
from spectra.engines.memory import within_limit
from spectra.krylov.basis import bytes_per_vector
from spectra.products import CapturedProducts, Tuning, make_products
from spectra.products import captured as captured_module
from spectra.products.measured import Measured, candidates, fastest, measure
from spectra.products.tuning import DEFAULT, parse_tuning
from spectra.system.recording import Recording

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default", DEFAULT),
        ("contiguous, graphs", Tuning(layout="contiguous", graphs=True)),
        ("no-graphs", Tuning(graphs=False)),
        ("stacked:4", Tuning(stacked=4)),
        ("benchmark", Tuning(benchmark=True, deterministic=False)),
        ("measured", "measured"),
    ],
)
def test_a_tuning_reads_as_it_is_named(text, expected):
    assert parse_tuning(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nhwc",
        "default,graphs",
        "no-contiguous",
        "stacked:",
        "stacked:0",
        "stacked:65",
        f"stacked:{10**20}",
        "graphs:1",
    ],
)
def test_words_that_name_no_tuning_are_refused(text):
    with pytest.raises(InputError):
        parse_tuning(text)


@pytest.mark.parametrize("text", ["measured", "benchmark", "contiguous,benchmark"])
def test_what_may_give_other_bytes_is_refused_where_the_same_are_asked_for(text):
    with pytest.raises(InputError, match="--deterministic"):
        parse_tuning(text, deterministic=True)


def test_what_differs_from_the_default_is_recorded():
    assert Tuning().describe() == ""
    op = operator("option-a", tuning=Tuning(layout="contiguous", stacked=2))
    assert op.choice.label == "tangent, contiguous, 2 vectors a pass"


def test_measured_products_are_the_products(caplog):
    caplog.set_level(logging.INFO, "spectra")
    op, v = operator("option-a", tuning="measured"), random_vector(operator("option-a").size, "v")
    expected = operator("option-a").matvec(v)
    assert float((op.matvec(v) - expected).norm()) <= 1e-12 * float(expected.norm())
    assert op.tuning in candidates(CPU)
    assert "measured products: as by default" in caplog.text


def test_every_candidate_is_timed_and_compared():
    model = make_net("option-a").double().eval()
    loss = operator("option-a").sample_losses
    images, labels = images_and_labels()
    batch = images.double(), labels, torch.ones(7, dtype=torch.float64)
    vector = random_vector(sum(p.numel() for p in model.parameters()), "v")
    tunings = candidates(CPU)
    found = measure(lambda t: make_products("tangent", model, loss, t), batch, vector, tunings)
    assert [m.tuning for m in found] == tunings
    assert all(m.seconds > 0 and m.error <= 1e-12 for m in found)


def test_the_fastest_way_that_agrees_is_taken():
    ways = candidates(CPU)
    found = [Measured(ways[0], 2.0, 0.0), Measured(ways[1], 1.0, 0.1)]
    assert fastest(found, torch.float32) == ways[0]
    found[1] = Measured(ways[1], 1.0, 1e-3)
    assert fastest(found, torch.float32) == ways[1]


def test_another_word_for_a_tuning_is_refused():
    with pytest.raises(InputError, match="'measured', got 'fast'"):
        operator("option-a", tuning="fast")


def test_graphs_need_cuda():
    with pytest.raises(InputError, match="graphs need a CUDA device, got cpu"):
        operator("option-a", tuning=Tuning(graphs=True))


class Tape:
    """A recorder that runs the work again at every replay, into the memory of the first time."""

    def __init__(self, fault: str | None = None) -> None:
        self.fault, self.recorded, self.replayed = fault, 0, 0

    def warm_up(self, work):
        return work()

    def record(self, work):
        if self.fault == "refuses":
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        self.recorded += 1
        outcome = torch.full_like(work(), torch.nan)

        def replay() -> None:
            self.replayed += 1
            outcome.copy_(work() * (2 if self.fault == "wrong" else 1))

        return Recording(replay, outcome)


def captured(name: str, tape: Tape, **options):
    op = operator(name, memory_budget=2**30, **options)
    op._products = CapturedProducts(op._products, tape)
    return op


@pytest.mark.parametrize("name", ["option-a", "control-flow-by-value", "attention"])
def test_replayed_products_are_the_products(name):
    tape = Tape()
    op, plain = captured(name, tape), operator(name)
    for i in range(4):
        v = random_vector(op.size, i)
        torch.testing.assert_close(op.matvec(v), plain.matvec(v), rtol=1e-12, atol=1e-13)
    chunks = len(list(op.chunks()))
    # One replay more, which is compared.
    assert (tape.recorded, tape.replayed) == (chunks, 3 * chunks + 1)


def test_products_of_several_vectors_are_recorded_by_their_number():
    tape = Tape()
    op, plain = captured("option-a", tape, tuning=Tuning(stacked=2)), operator("option-a")
    vectors = torch.stack([random_vector(op.size, i) for i in range(3)])
    for _ in range(3):
        found = op.matmat(vectors)
        torch.testing.assert_close(found, plain.matmat(vectors), rtol=1e-12, atol=1e-13)
    assert tape.recorded == 2 * len(list(op.chunks()))


def test_a_chunk_that_is_not_kept_is_not_recorded():
    tape = Tape()
    op = captured("option-a", tape).with_memory_budget(0)
    op.matvec(random_vector(op.size, 0))
    op.matvec(random_vector(op.size, 1))
    assert tape.recorded == 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [("refuses", "operation not permitted when stream is capturing"), ("wrong", "differs")],
)
def test_where_recording_fails_products_go_on_and_it_is_said_once(
    fault, words, caplog, monkeypatch
):
    monkeypatch.setattr(captured_module, "_said", set())
    plain = operator("option-a")
    for op in (captured("option-a", Tape(fault)) for _ in range(2)):
        for i in range(4):
            v = random_vector(op.size, i)
            assert torch.equal(op.matvec(v), plain.matvec(v))
    assert [words in r.message for r in caplog.records if "recorded" in r.message] == [True]


@pytest.mark.parametrize("tuning", ["measured", "benchmark"])
def test_a_run_without_a_basis_is_refused_products_that_may_differ_when_repeated(tuning):
    with pytest.raises(InputError, match="leave out --basis none or --tuning"):
        AnalysisRequest(tuning=tuning, solver=SolverSettings(basis="none"))


def test_where_nothing_agrees_the_default_stays():
    found = [Measured(way, 1.0, float("nan")) for way in candidates(CPU)]
    assert fastest(found, torch.float32) == DEFAULT


def test_probes_follow_each_other_where_their_vectors_do_not_fit_together(monkeypatch):
    op = operator("option-a", tuning=Tuning(stacked=3))
    settings = SolverSettings(num_probes=3, num_steps=10, max_steps=10)
    beside = 2 * 11 * bytes_per_vector(op, "device")
    for kept, expected in ((beside, None), (beside - 1, 11)):
        plan = MemoryForecast(0, 0, 0, kept, 2**20, max_basis=11)
        monkeypatch.setattr(memory, "forecast", lambda *_, plan=plan, **__: plan)
        assert within_limit(op, settings, limit=2**20)[1].max_basis == expected
