from dataclasses import replace

import numpy as np
import pytest
from made_results import analysis, record, spectrum

from figures.report.densities import LEAST_WEIGHT, unpacked
from figures.report.gather import gather_report
from spectra import InputError, SolverSettings, resolve
from spectra.results.study_result import StudyResult, save_study_result


def rows_of(report):
    return {
        (report.runs[row.run].text, row.epoch, row.split, row.label): row for row in report.rows
    }


@pytest.fixture
def study(tmp_path):
    """Two recipes on two splits, and a trajectory of the first, as a pipeline leaves them."""
    last = [
        analysis(recipe, split=split)
        for recipe in ("ce-drw", "ce-drw-sam")
        for split in ("train", "test")
    ]
    over = [analysis("ce-drw", epoch, density=False) for epoch in (100, 200)]
    result = StudyResult("made", tuple(last), tuple(over), {"torch": "2"})
    save_study_result(tmp_path / "made" / "results.json", result)
    return tmp_path / "made", result


def test_every_class_of_every_recipe_has_its_row(study):
    folder, result = study
    found = rows_of(gather_report([folder]))
    for held in (*result.analyses, *result.trajectories):
        known = held.checkpoint
        for one in held.records:
            row = found[known.recipe, known.epoch, held.protocol.split, one.label]
            assert (row.n, row.verdict, row.ratio) == (one.n, one.verdict.name, one.ratio)
            assert row.lambda_min.value == one.lambda_min
            assert row.lambda_max.beyond == one.certificates[1].beyond
            assert row.sentence == one.sentence
            assert row.lowered == one.bending.lowered_with
    assert len(found) == 4 * 3 + 3


def test_of_two_results_of_one_loss_the_one_with_a_density_is_shown(study):
    last = rows_of(gather_report([study[0]]))["ce-drw", 200, "train", "0"]
    assert last.density is not None


def test_a_study_that_is_not_finished_is_read_from_its_parts(tmp_path):
    part = tmp_path / "made" / "analyses" / "ce-drw-seed0" / "train"
    analysis("ce-drw").save(part / "epoch-0200.json")
    analysis("ce-drw", labels="0").save(part / "units" / "epoch-0200" / "0.json")
    report = gather_report([tmp_path / "made"])
    assert [source.file for source in report.sources] == [
        "made/analyses/ce-drw-seed0/train/epoch-0200.json"
    ]


def test_train_accuracy_beside_a_test_loss_is_that_of_the_train_loss():
    on_train, on_test = analysis("ce"), analysis("ce", split="test")
    right = replace(on_test.records[0], fit_accuracy=0.5, accuracy=0.5)
    on_test = replace(on_test, records=(right, *on_test.records[1:]))
    row = rows_of(gather_report([on_train, on_test]))["ce", 200, "test", "0"]
    assert (row.accuracy_train, row.accuracy_test) == (0.9, 0.5)


def test_smoothed_nodes_of_a_row_are_the_density_of_the_figures():
    made = record("8", seed=3)
    found = resolve(made.spectrum)
    report = gather_report([replace(analysis("ce"), records=(made,))])
    held = report.rows[0].density
    assert held is not None
    assert held.resolved == tuple(found.values)
    grid = np.linspace(-8, 8, 400)
    offsets = (grid[:, None] - unpacked(held.nodes)) / 0.3
    smoothed = np.exp(-0.5 * offsets**2) / (0.3 * np.sqrt(2 * np.pi)) @ unpacked(held.weights)
    # Nodes are rounded to 2^-24 of 8, 2e-6 of a width of .3, and weights by as little.
    np.testing.assert_allclose(smoothed, found.rest_density(grid, 0.3), rtol=2e-5, atol=1e-10)


def test_only_nodes_of_no_weight_are_left_out():
    made = record("8", seed=3)
    found = resolve(made.spectrum)
    all_of_them = np.concatenate([rule.weights for rule in found.rest])
    share = found.rest_mass / len(found.rest)
    held = gather_report([replace(analysis("ce"), records=(made,))]).rows[0].density
    assert len(unpacked(held.nodes)) == (share * all_of_them >= LEAST_WEIGHT).sum()


def test_all_densities_share_the_widest_width_and_one_axis():
    first, second = analysis("ce"), analysis("vs")
    wide = replace(second.records[0], spectrum=spectrum(9).scaled(40.0), lambda_max=90.0)
    second = replace(second, records=(wide,))
    report = gather_report([first, second])
    assert report.axes.sigma == wide.spectrum.reference_sigma()
    assert report.axes.half >= 90


def test_losses_that_cannot_share_an_axis_are_refused():
    with pytest.raises(InputError, match="reduction 'mean' and 'global' cannot share an axis"):
        gather_report([analysis("ce"), analysis("vs", reduction="global")])


def test_seeds_are_named_where_a_recipe_has_several():
    report = gather_report([analysis("ce", seed=0), analysis("ce", seed=1), analysis("vs")])
    assert [run.text for run in report.runs] == ["ce, seed 0", "ce, seed 1", "vs, seed 0"]


def test_one_network_in_two_number_formats_is_two_runs():
    solver = SolverSettings(seed=1)
    both = [analysis("ce"), analysis("ce", dtype="float64"), analysis("ce", solver=solver)]
    assert [run.text for run in gather_report(both).runs] == [
        "ce, float32, probes of seed 0",
        "ce, float64, probes of seed 0",
        "ce, float32, probes of seed 1",
    ]


def test_a_second_result_of_one_loss_is_named_at_the_first(tmp_path):
    for name, steps in (("a", 80), ("b", 40)):
        made = analysis("ce", solver=SolverSettings(num_steps=steps))
        made.save(tmp_path / f"{name}.json")
    report = gather_report([tmp_path / "a.json", tmp_path / "b.json"])
    assert {row.unusual[-1] for row in report.rows} == {
        "Not shown: a second result of this loss, b.json."
    }


def test_different_weights_of_one_name_are_two_runs(tmp_path):
    one, other = analysis("ce"), analysis("ce")
    other = replace(other, checkpoint=replace(other.checkpoint, digest="f" * 64))
    one.save(tmp_path / "a" / "analysis.json")
    other.save(tmp_path / "b" / "analysis.json")
    report = gather_report([tmp_path / "a", tmp_path / "b"])
    assert [run.text for run in report.runs] == ["ce, seed 0 (a)", "ce, seed 0 (b)"]


def stranger(name: str, epoch: int):
    made = analysis("ce", epoch)
    return replace(made, checkpoint=replace(made.checkpoint, name=name, recipe=None, seed=None))


@pytest.mark.parametrize("name", ["net_{}", "{:03}_net", "net-epoch={:02}", "net_epoch{}"])
def test_files_of_others_that_differ_by_their_epoch_are_one_run(name):
    report = gather_report([stranger(name.format(epoch), epoch) for epoch in (5, 10, 15)])
    assert len(report.runs) == 1
    assert not any(digit in report.runs[0].text for digit in "0123456789")
    assert report.missing.trajectories is None


def test_a_number_in_a_name_that_is_not_its_epoch_stays():
    report = gather_report([stranger("net_25", 5), stranger("resnet20", 20), stranger("7", 7)])
    assert [run.text for run in report.runs] == ["net_25", "resnet20", "7"]


def test_classes_stand_from_most_images_to_fewest_and_groups_after_them():
    report = gather_report([analysis("ce", labels="tail 8 0 head 9")])
    assert [label.name for label in report.labels] == ["0", "8", "9", "head", "tail"]
    assert [label.images for label in report.labels] == [124, 8, 6, 212, 14]
    assert [label.group for label in report.labels] == ["head", "tail", "tail", None, None]


def test_what_is_missing_is_said_with_the_command_that_makes_it():
    missing = gather_report([analysis("ce", density=False)]).missing
    assert "--num-probes" in missing.densities
    assert "spectra trajectory RUN" in missing.trajectories
    assert "--compare-protocols" in missing.protocols
    assert "spectra images" in missing.images


def test_a_trajectory_is_not_missing_where_a_run_has_two_checkpoints():
    both = [analysis("ce", epoch, density=False) for epoch in (100, 200)]
    assert gather_report(both).missing.trajectories is None


def test_an_end_that_has_not_converged_is_marked_and_said():
    made = replace(record("0"), converged=False, residual_min=5.0)
    row = gather_report([replace(analysis("ce"), records=(made,))]).rows[0]
    assert (row.lambda_min.sign, row.lambda_max.sign) == ("≤", "")
    assert row.unusual[0].startswith("Not converged in 300 steps. Where ≤ stands λmin may be lower")


def test_what_is_true_of_nearly_every_class_is_no_note_of_a_row():
    """That the gradient of a class's own loss outweighs its negative curvature: ρ* says it."""
    made = record("0", density=False)
    assert made.verdict.critical_radius > made.verdict.radius
    assert gather_report([replace(analysis("ce"), records=(made,))]).rows[0].unusual == ()
