"""Names that no result can hold, and outputs that cannot be written, are found before any work."""

import os
from pathlib import Path

import pytest
from command_line import invoke, refused

from checkpoints import DataRequest, load_checkpoint, load_data
from spectra import InputError

DIGITS = "bundled:digits/ce-drw"
FRESH = Path(__file__).parents[3] / "docs" / "study" / "ce-drw-0060" / "fresh.json"
LATIN = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", LATIN),
        ("analyze", DIGITS, "-o", f"runs/{LATIN}"),
        ("analyze", DIGITS, "--data", f"npz:{LATIN}.npz"),
        ("train", f"{LATIN}.toml"),
        ("trajectory", LATIN),
        ("pipeline", f"{LATIN}.toml"),
        ("plot", f"{LATIN}.json"),
        ("report", f"{LATIN}.json"),
        ("check-spectrum", f"{LATIN}.json"),
        ("checkpoints", "import", LATIN, "-o", "x.safetensors"),
        ("claim", "ghorbani2019", f"{LATIN}.json"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]).replace("\udce9", "?"),
)
def test_a_name_that_is_no_utf_8_is_refused_by_every_command(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = refused(*arguments)
    assert "must be UTF-8, got" in line
    assert r"caf\udce9" in line
    assert not list(tmp_path.iterdir())


def test_python_is_told_the_same_of_checkpoints_and_data(run_folder, tmp_path):
    whole = run_folder / "checkpoints" / "epoch-0003.safetensors"
    named = tmp_path / f"{LATIN}.pth"
    named.write_bytes(whole.read_bytes())
    with pytest.raises(InputError):
        load_checkpoint(named)
    with pytest.raises(InputError, match="the source of data must be UTF-8"):
        load_data(DataRequest(f"npz:{LATIN}.npz"))


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (("analyze", DIGITS), "analysis.json"),
        (("analyze", DIGITS, "--compare-protocols"), "protocols.json"),
        (("analyze", DIGITS), "table.csv"),
        (("sam", DIGITS), "sam.json"),
        (("theorem", DIGITS), "theorem.json"),
        (("images", DIGITS, "--class", "8"), "images.json"),
        (("recurrences", DIGITS, "--class", "8"), "recurrences.json"),
        (("claim", "papyan2020", DIGITS), "papyan2020.json"),
        (("claim", "ghorbani2019", DIGITS), "ghorbani2019.json"),
        (("reproduce", "theorem"), "result.json"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_a_folder_where_a_result_is_to_be_written_is_found_before_any_work(
    command, file, tmp_path, monkeypatch
):
    def work(*_: object, **__: object) -> None:
        raise AssertionError("work has begun")

    (tmp_path / file).mkdir()
    monkeypatch.setattr("checkpoints.analysis.data_of.data_for", work)
    monkeypatch.setattr("checkpoints.studies.reproduction.run_reproduction", work)
    line = refused(*command, "-o", tmp_path)
    assert f"{tmp_path / file} is a folder, and a file is to be written there" in line


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["x" * 200] * 30)], ids=["name", "path"])
@pytest.mark.parametrize("command", [("analyze", DIGITS), ("sam", DIGITS), ("train", "ce")])
def test_an_output_of_too_long_a_name_is_refused(command, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "File name too long" in refused(*command, "-o", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["recurrences", "images"])
def test_a_checkpoint_that_is_not_there_is_said_before_a_class_is_asked_for(command, tmp_path):
    assert "no checkpoint" in refused(command, tmp_path / "absent")
    assert "--class 8" in refused(command, DIGITS, "-o", tmp_path)


def test_stored_results_of_fresh_draws_are_not_passed_off_as_a_spectrum(tmp_path):
    result = invoke("claim", "ghorbani2019", FRESH, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "is of fresh draws (--images fresh), which have no fixed matrix" in result.stderr


@pytest.mark.parametrize(
    "command",
    [("check-spectrum",), ("recurrences",), ("claim",), ("claim", "alain2019"),
     ("claim", "ghorbani2019"), ("claim", "papyan2020")],
    ids=" ".join,
)  # fmt: skip
def test_help_shows_an_example(command):
    text = invoke(*command, "--help").output
    assert "Example" in text
    assert f"  spectra {' '.join(command)} " in text
