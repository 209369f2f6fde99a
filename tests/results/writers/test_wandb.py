"""Weights & Biases: by a stand-in with its signatures, and offline where it is installed."""

import sys
from types import SimpleNamespace

import pytest

from spectra import InputError, WandbWriter
from spectra.results.writers.values import EpochValues


class StandInRun:
    def __init__(self):
        self.logged, self.axes, self.finished = [], {}, False

    def define_metric(self, name, step_metric=None, step_sync=None, hidden=None, summary=None):
        self.axes[name] = step_metric

    def log(self, data, step=None, commit=None):
        self.logged.append((data, step))

    def finish(self, exit_code=None):
        self.finished = True


class StandInHistogram:
    def __init__(self, sequence=None, np_histogram=None, num_bins=64):
        counts, edges = np_histogram
        assert len(counts) <= 512  # W&B refuses more
        assert len(edges) == len(counts) + 1
        self.counts = counts


@pytest.fixture
def begun(monkeypatch):
    """The runs that are begun, with what they were begun with."""
    runs = []

    def init(entity=None, project=None, dir=None, id=None, name=None, config=None, reinit=None):
        run = StandInRun()
        runs.append((run, {"entity": entity, "project": project, "name": name, "config": config}))
        return run

    stand_in = SimpleNamespace(init=init, Histogram=StandInHistogram)
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    return runs


def test_a_run_is_begun_and_finished_and_goes_by_epochs(begun, found):
    with WandbWriter("team/tails", name="mine", config={"seed": 0}) as writer:
        writer.write(found)
    ((run, asked),) = begun
    assert asked == {
        "entity": "team", "project": "tails", "name": "mine", "config": {"seed": 0},
    }  # fmt: skip
    assert run.axes["lambda_min/*"] == "epoch"
    assert run.axes["density/*"] == "epoch"
    assert run.finished


def test_the_numbers_and_densities_are_logged_without_a_step_of_wandbs(begun, found):
    with WandbWriter("tails") as writer:
        writer.write(found)
    ((data, step),) = begun[0][0].logged
    assert step is None
    assert data["epoch"] == 200
    assert data["lambda_min/8"] == EpochValues.of(found).numbers["lambda_min/8"]
    assert data["density/8"].counts.sum() == pytest.approx(50, rel=1e-13)


def test_a_run_of_ones_own_stays_open(begun, found):
    own = StandInRun()
    with WandbWriter(own) as writer:
        writer.write(found)
    assert (begun, own.finished, len(own.logged)) == ([], False, 1)


def test_without_wandb_it_is_refused_in_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"pip install hessian-spectra\[wandb\]"):
        WandbWriter("tails")


@pytest.mark.foreign
def test_wandb_itself_keeps_a_run_offline(monkeypatch, tmp_path, found):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    with WandbWriter("tails", name="mine") as writer:
        writer.write(found)
        assert writer._run.summary["lambda_min/8"] == -23.0
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
