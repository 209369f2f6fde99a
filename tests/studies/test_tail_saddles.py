"""The study's documents and figures come from its stored results, and hold no other number."""

import shutil
from pathlib import Path

import pytest
from drawing import draw_study_of_tail_saddles
from pages import documents, numbers_by_hand, rendered
from stored import Network, stored_results
from wording import sig

from spectra import InputError

ROOT = Path(__file__).parents[2]
STORED = ROOT / "docs" / "study"


@pytest.fixture(scope="module")
def results():
    return stored_results(STORED)


def test_writing_the_documents_again_changes_no_byte():
    for path, text in documents(ROOT).items():
        assert path.read_text("utf-8") == text, f"{path.name}: run make study"


@pytest.mark.parametrize("template", sorted((STORED / "templates").iterdir()), ids=lambda p: p.stem)
def test_a_number_planted_in_a_template_is_refused(template):
    text = template.read_text("utf-8")
    assert numbers_by_hand(text) == []
    for number in (".985", "0.0124", "−44.4", "2e-4", "75.2 %"):
        with pytest.raises(InputError, match="expressions over stored results"):
            rendered(f"{text}\nClass 8 has {number}.\n", {})
    with pytest.raises(InputError, match="expressions over stored results"):
        rendered(f"{text}\n{{{{ 0.985 | sig(3) }}}}\n", {})


def test_a_name_that_no_result_has_is_refused():
    with pytest.raises(InputError, match="'nothing' is undefined"):
        rendered("{{ nothing.ratio | sig(3) }}", {})


def test_every_figure_of_the_documents_is_drawn_from_the_stored_results(tmp_path):
    drawn = {path.name for path in draw_study_of_tail_saddles(STORED, tmp_path)}
    kept = {path.name for path in (ROOT / "docs" / "images").glob("tail-saddles-*.png")}
    said = " ".join(path.read_text("utf-8") for path in documents(ROOT))
    assert drawn == kept
    assert all(name in said for name in drawn)


def test_folders_name_the_network_its_seed_and_the_epoch(tmp_path):
    source = STORED / "ce-drw-seed1-0060" / "plain.json"
    for folder in ("ce-drw-seed12-0060", "ce-drw-0048-7", "control"):
        (tmp_path / folder).mkdir()
        shutil.copy(source, tmp_path / folder)
    found = stored_results(tmp_path)
    assert {(m.network, m.epoch) for m in found.measured} == {
        (Network("ce-drw"), 48),
        (Network("ce-drw", 12), 60),
    }


def test_of_two_results_the_one_that_is_bounded_from_outside_is_told(results):
    network = Network("ce-drw")
    plain = [
        m.bounded
        for m in results.measured
        if (m.network, m.epoch, m.label, m.protocol) == (network, 60, "8", "plain")
    ]
    assert sorted(plain) == [False, True]
    assert results.one(network, 60, 8, "plain").bounded


def test_every_certified_extreme_of_the_study_has_converged(results):
    fixed = [m for m in results.measured if "fresh" not in m.protocol and "/" not in m.protocol]
    assert len(fixed) > 40
    assert all(m.record.converged for m in fixed)


def test_of_images_held_fixed_every_end_carries_mass(results):
    fixed = [m for m in results.measured if "fresh" not in m.protocol and m.record.spectrum]
    assert len(fixed) >= 5
    assert not any(m.check.massless for m in fixed)


def test_two_of_three_seeds_of_draws_leave_ends_without_mass(results):
    network, protocol = Network("r32-ce-drw"), "fresh/pyhessian"
    told = [results.one(network, 200, 8, protocol, draws=k).check.massless for k in range(3)]
    assert told == [("lower", "upper"), (), ("lower", "upper")]


def test_every_row_of_the_headline_has_negative_curvature_and_both_bounds(results):
    rows = [m for m in results.measured if m.network.name.startswith("r32-")]
    for m in rows:
        if m.protocol == "plain":
            assert m.record.verdict.name == "negative curvature"
            assert m.bounded


def test_the_headline_is_bounded_from_both_sides_in_float64(results):
    for name in ("r32-ce-drw", "r32-ce-drw-sam"):
        found = results.one(Network(name), 200, 8, "plain")
        assert found.analysis.protocol.dtype == "float64"
        # The document says: the same to nine digits.
        assert found.ratio_at_most == pytest.approx(found.ratio_at_least, rel=1e-9)


def test_the_bound_after_90_epochs_is_what_scipy_finds(results):
    # scipy.sparse.linalg.eigsh over the same images in float64: -1.476953 and 108.12403.
    found = results.one(Network("ce-drw-longer"), 90, 8, "plain")
    assert found.record.lambda_min == pytest.approx(-1.476953, abs=5e-7)
    assert found.lambda_min_at_least == pytest.approx(-1.476953, abs=5e-7)
    assert found.record.lambda_max == pytest.approx(108.12403, abs=5e-6)


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (0.9854, 3, ".985"), (-44.388, 3, "−44.4"), (0.00107, 2, ".0011"), (2.08e-5, 1, "2e-5"),
        (161.3, 2, "161"), (13446, 3, "13,446"), (0.9996, 3, "1.00"), (None, 3, "–"), (0, 3, "0"),
    ],
)  # fmt: skip
def test_numbers_are_written_with_the_digits_that_are_told(value, digits, written):
    assert sig(value, digits) == written
