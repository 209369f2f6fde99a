"""A loss that was kept is taken again only where today's code has made it, of the same."""

import json
from pathlib import Path

import pytest

from checkpoints import AnalysisRequest, analyze
from checkpoints.analysis.kept_losses import code_digest
from spectra import LossAnalysis, SolverSettings

DIGITS = "bundled:digits/ce-drw"
TAMPERED = 123.0


def analyzed(units: Path, **options) -> LossAnalysis:
    solver = SolverSettings(num_probes=1, num_steps=4, max_steps=4, bending=False, **options)
    request = AnalysisRequest(classes="9", images_per_class=2, solver=solver)
    return analyze(DIGITS, request=request, units=units).record("9")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A kept loss whose value tells it from one that is computed."""
    analyzed(tmp_path)
    path = tmp_path / "9.json"
    unit = json.loads(path.read_text())
    unit["records"][0]["loss"] = TAMPERED
    path.write_text(json.dumps(unit))
    return path


def test_what_this_code_has_kept_is_not_computed_again(kept):
    assert analyzed(kept.parent).loss == TAMPERED


def test_another_choice_is_computed(kept):
    assert analyzed(kept.parent, seed=1).loss != TAMPERED


@pytest.mark.parametrize("code", [None, "0" * 64], ids=["unnamed", "another"])
def test_what_other_code_has_kept_is_computed_again(kept, code):
    """A version number says nothing of it: rules change between two releases."""
    unit = json.loads(kept.read_text())
    assert unit["versions"].pop("code") == code_digest()
    if code is not None:
        unit["versions"]["code"] = code
    kept.write_text(json.dumps(unit))
    assert analyzed(kept.parent).loss != TAMPERED
    assert json.loads(kept.read_text())["versions"]["code"] == code_digest()


def test_the_result_itself_does_not_name_the_code(kept):
    request = AnalysisRequest(classes="9", images_per_class=2)
    assert "code" not in analyze(DIGITS, request=request, units=kept.parent / "other").versions


def test_what_cannot_be_read_is_computed_again(kept):
    kept.write_text("{")
    assert analyzed(kept.parent).loss != TAMPERED
