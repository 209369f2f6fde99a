"""``checkpoints.analyze`` from Python, and what trajectories know of the re-weighting switch."""

from dataclasses import replace

import pytest
import torch

from checkpoints import AnalysisRequest, analyze, load_checkpoint, load_data
from checkpoints.analysis.trajectory import common_switch, switch_epochs
from spectra import Analysis, InputError, SolverSettings
from spectra.results.provenance import AnalysisProtocol, CheckpointIdentity

SMALL = AnalysisRequest(classes="9", solver=SolverSettings(num_probes=1, num_steps=4, max_steps=4))


def test_names_stand_for_checkpoint_and_data():
    named = analyze("bundled:digits/ce-drw", "digits", SMALL)
    given = analyze(load_checkpoint("bundled:digits/ce-drw"), load_data(), SMALL)
    assert named.rows() == given.rows()
    assert (named.checkpoint, named.protocol) == (given.checkpoint, given.protocol)


def test_a_checkpoint_brings_its_own_data():
    assert analyze("bundled:digits/ce-drw", request=SMALL).checkpoint.data["source"] == "digits"


def test_what_a_checkpoint_says_of_its_data_is_checked():
    checkpoint = load_checkpoint("bundled:digits/ce-drw")
    spoilt = replace(checkpoint, data={**checkpoint.data, "n_max": "many"})
    with pytest.raises(InputError, match=r"ce-drw: data\.n_max: expected an integer, got 'many'"):
        analyze(spoilt, request=SMALL)


def test_small_images_are_analyzed_on_one_thread_and_the_setting_comes_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = analyze("bundled:digits/ce-drw", request=SMALL)
        assert found.versions["threads"] == "1"
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_progress_names_the_class():
    heard = set()

    def hear(what, done, planned):
        heard.add(what)

    analyze("bundled:digits/ce-drw", request=SMALL, on_progress=hear)
    assert heard == {"class 9", "class 9 bending"}


def of(recipe: str, weighting: str = "drw", epochs: int = 200) -> Analysis:
    fields = {"weighting": weighting, "epochs": epochs}
    identity = CheckpointIdentity(recipe, recipe=recipe, recipe_fields=fields)
    return Analysis(identity, AnalysisProtocol(), ())


def test_the_switch_is_known_of_recipes_that_have_one():
    found = switch_epochs([of("ce", "none"), of("ce-drw"), of("short", epochs=10)])
    assert found == {"ce-drw": 160, "short": 8}


def test_a_common_switch_is_that_of_all_that_have_one():
    assert common_switch([of("ce", "none"), of("ce-drw"), of("vs")]) == 160
    assert common_switch([of("ce-drw"), of("short", epochs=10)]) is None
    assert common_switch([Analysis(CheckpointIdentity("foreign"), AnalysisProtocol(), ())]) is None
