import json
import types

import pytest
import torch
from click.testing import CliRunner

from cli.main import cli
from cli.options.values import pick_device
from spectra import InputError
from spectra.system.cards import cards
from spectra.system.ranks import World

GIB = 2**30


@pytest.fixture
def none(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.fixture
def two(monkeypatch):
    """Two cards, the second of them the current one; list those that are made so."""
    current = [torch.device("cuda", 1)]
    faces = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "current_device": lambda: current[-1].index,
        "set_device": current.append,
        "mem_get_info": lambda d: ((3 + torch.device(d).index) * GIB, 8 * GIB),
        "get_device_name": lambda d: f"Card {torch.device(d).index}",
    }
    for name, face in faces.items():
        monkeypatch.setattr(f"torch.cuda.{name}", face)
    return types.SimpleNamespace(current=current)


def test_auto_is_the_cpu_without_a_word_where_there_is_no_card(none, capsys):
    assert pick_device("auto") == "cpu"
    assert capsys.readouterr() == ("", "")


def test_auto_takes_the_current_card_and_says_so(two, capsys):
    assert pick_device("auto") == "cuda:1"
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "computing on cuda:1, Card 1, 4 of 8 GiB free\n"


@pytest.mark.parametrize(("text", "wanted"), [("cuda", "cuda:1"), ("cuda:0", "cuda:0")])
def test_a_card_that_is_asked_for_becomes_the_current_one(two, text, wanted, capsys):
    assert pick_device(text) == wanted
    assert two.current[-1] == torch.device(wanted)
    assert capsys.readouterr() == ("", "")


def test_several_processes_do_not_share_a_card(two, monkeypatch):
    monkeypatch.setattr("spectra.system.ranks.joining._here", World(rank=1, size=2))
    assert pick_device("cuda") == "cuda:1"
    with pytest.raises(InputError, match="--device cuda:0 puts 2 processes on one card"):
        pick_device("cuda:0")


def test_a_cpu_that_is_asked_for_is_taken_beside_cards(two):
    assert pick_device("cpu") == "cpu"
    assert len(two.current) == 1


@pytest.mark.parametrize("text", ["", "gpu", "mps", "meta", "auto:1", "CUDA"])
def test_other_words_are_refused(two, text):
    with pytest.raises(InputError, match="device must be auto, cpu, cuda or cuda:N, got"):
        pick_device(text)


@pytest.mark.parametrize("text", ["cuda:", "cuda:x", "cuda:-1", "cpu:x"])
def test_numbers_that_are_none_are_refused(two, text):
    with pytest.raises(InputError, match="device must be one that torch knows"):
        pick_device(text)


COMMANDS = [
    ("analyze", "bundled:digits/ce-drw"),
    ("trajectory", "bundled:digits/ce-drw"),
    ("theorem", "bundled:digits/ce-drw"),
    ("train", "ce-drw"),
    ("bench",),
    ("doctor",),
    ("reproduce", "cifar10-lt-table"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_card_that_is_not_there_is_one_line_with_how_many_there_are(two, command, tmp_path):
    folder = [] if command[0] in ("bench", "doctor") else ["-o", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, [*command, *folder, "--device", "cuda:7"])
    assert result.exit_code == 2
    assert result.stderr.strip().splitlines()[-1] == (
        "Error: device cuda:7 is not here: torch sees 2 CUDA devices; use cuda:0 to cuda:1"
    )


def test_cuda_without_a_card_is_one_line(none):
    result = CliRunner().invoke(cli, ["doctor", "--device", "cuda"])
    assert result.exit_code == 2
    assert result.stderr.strip() == (
        "Error: device cuda is not here: torch sees no CUDA device; use cpu"
    )


def test_every_card_is_listed_with_its_memory(two):
    assert [c.describe() for c in cards()] == [
        "cuda:0, Card 0, 3 of 8 GiB free",
        "cuda:1, Card 1, 4 of 8 GiB free",
    ]


def test_no_card_is_no_line(none):
    assert cards() == []


def test_doctor_lists_the_cards_and_tests_the_device_that_was_chosen(two, monkeypatch):
    tested = []

    def test(device, *, dtype):
        tested.append(device)
        return types.SimpleNamespace(
            passed=True, product=0.0, lambda_min=0.0, lambda_max=0.0, tolerance=0.0
        )

    monkeypatch.setattr("spectra.engines.self_test.dense_self_test", test)
    result = CliRunner().invoke(cli, ["doctor", "--device", "cuda:0", "--json"])
    found = json.loads(result.stdout)
    assert tested == ["cuda:0"] * 2
    assert found["device"] == "cuda:0"
    assert [card["memory"] for card in found["cards"]] == [8 * GIB] * 2
    shown = CliRunner().invoke(cli, ["doctor", "--device", "cpu"]).stdout
    assert "cuda:1, Card 1, 4 of 8 GiB free" in shown
