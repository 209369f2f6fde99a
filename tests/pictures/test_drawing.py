"""Whole results drawn from Python: which figures they get, and where these go."""

from dataclasses import replace

import pytest
from drawn_results import analysis

import figures.drawing as drawing
import figures.trajectory as trajectory
from figures import draw_analysis, draw_reproduction, draw_study, draw_trajectories
from spectra import InputError
from spectra.results.protocol_rows import ProtocolRow
from spectra.results.reproduction_result import ComparedRow, ComparedValue, ReproductionResult
from spectra.results.study_result import StudyResult

GROUPS = {"head": (0,), "mid": (1,), "tail": (2,)}
PAPER = ReproductionResult(
    study="table", size="smoke", data="digits", title="A table", note=None, source="a paper",
    versions={}, rows=(), runs=(),
)  # fmt: skip


def of(recipe, *records, **rest):
    found = analysis(*records, **rest)
    known = replace(found.checkpoint, recipe=recipe, class_counts=(50, 20, 5))
    return replace(found, checkpoint=known)


@pytest.fixture
def study(record):
    def at(recipe, epoch):
        records = [record(str(c), accuracy=0.5, n=n) for c, n in enumerate((50, 20, 5))]
        return of(recipe, *records, record("tail"), epoch=epoch)

    return StudyResult(
        "small",
        tuple(at(recipe, 20) for recipe in ("ce", "ce-sam")),
        tuple(at(recipe, epoch) for recipe in ("ce", "ce-sam") for epoch in (10, 20)),
    )


def names(written, folder):
    return [path.relative_to(folder).as_posix() for path in written]


@pytest.fixture
def drawn_switches(monkeypatch):
    """The switch of every trajectory that is drawn."""
    drawn, plot = [], trajectory.plot_trajectory

    def record_switch(*args, switch_epoch, **options):
        drawn.append(switch_epoch)
        return plot(*args, switch_epoch=switch_epoch, **options)

    monkeypatch.setattr(trajectory, "plot_trajectory", record_switch)
    return drawn


def test_a_result_gets_pages_of_six_panels(record, tmp_path):
    few = analysis(*(record(str(c)) for c in range(6)))
    many = analysis(*(record(str(c)) for c in range(7)))
    assert names(draw_analysis(few, str(tmp_path), formats=("svg",)), tmp_path) == ["density.svg"]
    written = draw_analysis(many, tmp_path, formats=("svg", "pdf"))
    assert names(written, tmp_path) == ["density.svg", "density-2.svg", "density.pdf"]
    assert written[2].read_bytes().count(b"/Type /Page ") == 2


def test_a_result_without_a_density_gets_no_figure(record, tmp_path):
    bare = replace(record(), spectrum=None)
    assert draw_analysis(analysis(bare), tmp_path) == []


def test_a_trajectory_gets_overlaps_only_from_warm_starts(record, tmp_path):
    cold = [analysis(record(), epoch=e) for e in (10, 20)]
    warm = [cold[0], analysis(replace(record(), overlaps=(0.9, 0.8)), epoch=20)]
    written = draw_trajectories({"run": cold}, tmp_path, formats=("svg",))
    assert names(written, tmp_path) == ["trajectory.svg"]
    written = draw_trajectories({"run": warm}, tmp_path, formats=("svg",))
    assert names(written, tmp_path) == ["trajectory.svg", "overlaps.svg"]


def test_a_study_gets_its_figures_and_tables(study, tmp_path):
    written = draw_study(study, tmp_path, groups=GROUPS, formats=("svg",))
    assert names(written, tmp_path) == [
        "figures/density-ce.svg",
        "figures/trajectory-ce.svg",
        "figures/contrast.svg",
        "recipes.md",
        "figures/recipes.svg",
        "figures/accuracy.svg",
    ]
    assert all(path.exists() for path in written)


def test_the_switch_of_a_study_is_drawn_where_its_recipes_agree(study, tmp_path, drawn_switches):
    for switches in ({"ce": 16, "ce-sam": 16}, {"ce": 16}, {"ce": 16, "ce-sam": 18}, {}):
        draw_study(study, tmp_path, groups=GROUPS, switch_epochs=switches, formats=())
    assert drawn_switches == [16, 16, None, None]


def test_a_study_whose_groups_nobody_names_is_refused(study, tmp_path):
    with pytest.raises(InputError, match="head, mid, tail; the results name tail"):
        draw_study(study, tmp_path)


def test_the_groups_of_a_study_are_those_of_its_records(record, tmp_path):
    groups = [record(name, classes=classes) for name, classes in GROUPS.items()]
    result = StudyResult("grouped", (of("ce", *groups),))
    assert draw_study(result, tmp_path, formats=("svg",))


def test_accuracies_of_a_reproduction_stand_beside_the_published(tmp_path):
    value = ComparedValue(70.0, None, 1, 71.7, 0.1, -1.7)
    result = replace(PAPER, rows=(ComparedRow("ce", None, "run", {"overall": value}),))
    written = draw_reproduction(result, tmp_path, formats=("svg",))
    assert names(written, tmp_path) == ["table.svg"]


def test_spectra_of_a_reproduction_are_drawn_by_protocol(record, tmp_path, drawn_switches):
    runs = {"plain": [analysis(record(), epoch=e) for e in (10, 20)]}
    result = replace(
        PAPER, analyses={"ce seed 0": runs}, over_training=True, switch_epoch=16,
        density_classes=("8",),
    )  # fmt: skip
    written = draw_reproduction(result, tmp_path, formats=("svg",))
    expected = ["protocols.svg", "trajectories-plain.svg", "densities-plain.svg"]
    assert names(written, tmp_path) == expected
    assert drawn_switches == [16]


def test_rows_are_what_figures_of_protocols_take(record, tmp_path, monkeypatch):
    taken = {}
    monkeypatch.setattr(drawing, "plot_protocols", lambda runs, **_: taken.update(runs) or _empty())
    result = replace(PAPER, analyses={"ce seed 0": {"plain": [analysis(record())]}})
    draw_reproduction(result, tmp_path, formats=("svg",))
    assert [type(row) for row in taken["ce seed 0"]] == [ProtocolRow]


def _empty():
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))
