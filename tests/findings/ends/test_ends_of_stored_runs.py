"""The stored runs of the study: which of them have ends that carry no mass."""

from pathlib import Path

import pytest

from spectra import LossAnalysis, SpectrumCheck, load_analysis

STUDY = Path(__file__).parents[3] / "docs" / "study"
# From here on a fresh run's ratio is the draws', not a saddle's.
FITTED = 0.8
# Up to here it is much what averaged images give.
UNTOUCHED = 0.15
# And here PyHessian's recurrence in float32 keeps to one matrix; under 1e-4 it does not.
LARGE_LOSS = 1e-3


def densities(name: str) -> list[tuple[str, LossAnalysis]]:
    """Return the losses with a density in the stored files of a name, and where they are."""
    return [
        (f"{path.relative_to(STUDY)} class {record.label}", record)
        for path in sorted(STUDY.rglob(name))
        for record in load_analysis(path).records
        if record.spectrum is not None
    ]


PUBLISHED = densities("fresh-pyhessian*.json")


@pytest.mark.parametrize(("_", "record"), PUBLISHED, ids=[name for name, _ in PUBLISHED])
def test_every_published_run_of_a_fitted_class_warns(_, record):
    check = SpectrumCheck.of(record.spectrum)
    if record.ratio > FITTED:
        assert "lower" in check.massless
        # The least clear of them is at 4e-28.
        assert check.lowest.mass < 1e-20
    if record.ratio < UNTOUCHED:
        assert not check.warning


def test_there_are_enough_of_them():
    assert sum(record.ratio > FITTED for _, record in PUBLISHED) >= 10


@pytest.mark.parametrize("name", ["plain*.json", "analysis.json", "frozen*.json"])
def test_runs_over_images_that_stay_do_not_warn(name):
    # The fewest steps and the most: products of one matrix, by either recurrence.
    kept = [(place, r) for place, r in densities(name) if r.loss > LARGE_LOSS]
    assert [place for place, r in kept if r.massless_ends] == []


def test_with_beta_taken_after_orthogonalising_a_moderate_ratio_is_not_found_out():
    # Such ends are of no matrix either (ratios of .06 to .36), and their mass does not show it:
    # what raises no warning need not be a Hessian's.
    moderate = [(place, r) for place, r in densities("fresh.json") if r.ratio < 0.4]
    assert len(moderate) >= 15
    assert [place for place, r in moderate if r.massless_ends] == []
