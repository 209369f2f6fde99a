import shlex
from dataclasses import replace

import pytest
import torch
from made_results import analysis

import spectra
from cli.commands.analyze import analyze
from figures.report.gather import gather_report
from figures.report.sources import command_of
from spectra import SolverSettings
from spectra.results.analysis import analysis_to_plain
from spectra.system.files.reading import file_digest


def asked_by(command: str):
    """Return the request that a command line makes."""
    words = shlex.split(command)
    assert words[:3] == ["spectra", "analyze", "CHECKPOINT"]
    context = analyze.make_context("analyze", words[2:])
    values = {name: value for name, value in context.params.items() if value is not None}
    return values


@pytest.mark.parametrize(
    ("protocol", "solver"),
    [
        ({}, {}),
        ({"loss": "train", "reduction": "global", "split": "test"}, {"seed": 3}),
        ({"images": "frozen:4", "dtype": "float64"}, {"num_probes": 0, "proof": False}),
        ({"radius": 0.05, "tau": 0.01, "groups": "0-2/3-6/7-9"}, {"bending": False, "top": 3}),
        ({"parameters": ("a.*", "it's"), "images_per_class": 7}, {"certify_below": True}),
    ],
)
def test_the_command_of_a_source_asks_for_what_its_protocol_says(protocol, solver):
    made = analysis("ce", **protocol, solver=SolverSettings(**solver))
    values = asked_by(command_of(made))
    assert values["classes"] == "0,8,tail"
    for name, value in {**protocol, **solver}.items():
        assert values[name] == value, name


def test_the_command_of_a_warm_start_is_that_of_a_trajectory():
    made = analysis("ce")
    warm = replace(made, checkpoint=replace(made.checkpoint, warm_from=None))
    assert command_of(warm).startswith("spectra trajectory RUN --classes ")


def test_the_command_of_a_model_in_python_is_a_call_that_gives_it_again():
    torch.manual_seed(0)
    model, data = torch.nn.Linear(4, 3), (torch.randn(30, 4), torch.arange(30) % 3)
    asked = {"num_probes": 1, "num_steps": 4, "seed": 5, "radius": 0.2, "bending": False}
    found = spectra.analyze_classes(model, data, [0, 2], dtype=torch.float64, **asked)
    again = eval(
        command_of(found), {"spectra": spectra, "torch": torch, "model": model, "data": data}
    )
    assert analysis_to_plain(again) == analysis_to_plain(found)


def test_a_source_names_file_hash_seed_device_and_versions(tmp_path):
    path = tmp_path / "mine" / "analysis.json"
    analysis("ce").save(path)
    (source,) = gather_report([path.parent]).sources
    assert source.file == "mine/analysis.json"
    assert source.file_digest == file_digest(path)
    assert source.weights_digest == f"{200:064x}"
    assert source.choices["seed of the probes"] == "0"
    assert source.choices["device"] == "cpu"
    assert source.training["seed"] == "0"
    assert source.training["SHA-256 of the data"] == "7" * 64
    assert source.versions == {"torch": "2"}
