"""A loss that was kept is taken again only where today's code has made it, of the same."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from checkpoints import AnalysisRequest, DataRequest, analyze, load_data
from checkpoints.analysis.kept_losses import code_digest
from checkpoints.models.factories import own_factory
from spectra import LossAnalysis, SolverSettings
from spectra.errors import InputError
from spectra.system.files.sealed_json import write_sealed

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
    sealed_again(path, unit)
    return path


def sealed_again(path: Path, unit: dict) -> None:
    del unit["sha256"]
    write_sealed(path, unit)


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
    sealed_again(kept, unit)
    assert analyzed(kept.parent).loss != TAMPERED
    assert json.loads(kept.read_text())["versions"]["code"] == code_digest()


def test_of_many_classes_a_kept_loss_does_not_repeat_what_is_of_all(kept):
    unit = json.loads(kept.read_text())
    assert unit["checkpoint"]["name"]
    assert not {"class_counts", "data"} & {k for k, v in unit["checkpoint"].items() if v}
    unit["header"] = "0" * 64
    sealed_again(kept, unit)
    assert analyzed(kept.parent).loss != TAMPERED


def test_the_result_itself_does_not_name_the_code(kept):
    request = AnalysisRequest(classes="9", images_per_class=2)
    assert "code" not in analyze(DIGITS, request=request, units=kept.parent / "other").versions


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("untouched")
    analyzed(folder)
    return (folder / "9.json").read_bytes()


def with_another_digit(content: bytes) -> bytes:
    place = content.index(b'"lambda_min": ') + 16
    return (
        content[:place]
        + (b"1" if content[place : place + 1] != b"1" else b"2")
        + content[place + 1 :]
    )


DAMAGES = {
    "empty": lambda content: b"",
    "no JSON": lambda content: b"{",
    "cut": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-1],
    "an edited digit": with_another_digit,
    "a flipped bit": lambda content: content[:99] + bytes([content[99] ^ 1]) + content[100:],
    "another digest": lambda content: (
        content[:-9] + (b"1" if content[-9:-8] == b"0" else b"0") + content[-8:]
    ),
    "appended": lambda content: content + b"\n",
    "no digest": lambda content: content[: content.rindex(b",\n")] + b"\n}\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_made_again_to_the_same_bytes_and_it_is_said(
    tmp_path, untouched, damage, caplog
):
    path = tmp_path / "9.json"
    path.write_bytes(DAMAGES[damage](untouched))
    analyzed(tmp_path)
    assert path.read_bytes() == untouched
    assert f"{path} is damaged" in caplog.text


def test_another_class_under_the_expected_name_is_made_again_and_it_is_said(
    tmp_path, untouched, caplog
):
    solver = SolverSettings(num_probes=1, num_steps=4, max_steps=4, bending=False)
    request = AnalysisRequest(classes="8", images_per_class=2, solver=solver)
    analyze(DIGITS, request=request, units=tmp_path)
    (tmp_path / "8.json").rename(tmp_path / "9.json")
    analyzed(tmp_path)
    assert (tmp_path / "9.json").read_bytes() == untouched
    assert "1 results of other weights, images, choices or code" in caplog.text


def test_other_test_images_are_other_inputs(kept):
    data = load_data(DataRequest("digits"))
    assert data.test is not None
    other = replace(data, test=data.train)
    solver = SolverSettings(num_probes=1, num_steps=4, max_steps=4, bending=False)
    request = AnalysisRequest(classes="9", images_per_class=2, solver=solver)
    assert analyze(DIGITS, other, request, units=kept.parent).record("9").loss != TAMPERED


def test_the_users_own_code_is_one_of_the_inputs(tmp_path):
    def digest(text: str) -> str:
        (tmp_path / "own_net_of_inputs.py").write_text(text)
        return own_factory(f"{tmp_path}/own_net_of_inputs.py:net").source

    first, second = "def net(num_classes=3):\n    return 1\n", "def net(num_classes=3): return 2\n"
    assert digest(first) == digest(first) != digest(second)


def test_eigenvectors_of_an_earlier_request_are_not_taken_for_those_of_this_one(tmp_path):
    def vectors(seed: int, folder: Path | None) -> None:
        solver = SolverSettings(num_probes=0, max_steps=4, bending=False, seed=seed)
        request = AnalysisRequest(classes="9", images_per_class=2, solver=solver)
        analyze(DIGITS, request=request, units=tmp_path / "units", vectors=folder)

    file = tmp_path / "vectors-9.safetensors"
    vectors(0, tmp_path)
    first = file.read_bytes()
    vectors(1, None)
    vectors(1, tmp_path)
    assert file.read_bytes() != first
    vectors(0, tmp_path)
    assert file.read_bytes() == first
    file.write_bytes(first[:-1])
    vectors(0, tmp_path)
    assert file.read_bytes() == first


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_where_a_kept_result_lies_is_not_waited_for(kept):
    kept.unlink()
    os.mkfifo(kept)
    with pytest.raises(InputError, match=r"9\.json is no regular file, .* remove it, or choose"):
        analyzed(kept.parent)
