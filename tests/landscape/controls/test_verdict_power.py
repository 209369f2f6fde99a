"""The search can come out either way, and is never wrong: on controls with known answers."""

import pytest
from all_controls import all_controls, sample
from control import DEVELOPMENT, HELD_OUT
from judgement import RIGHT, WRONG, Judgement, judged, table

# The share of what is smooth that has to be named. Slopes past a fold, where the gradient all but
# vanishes, are left undecided.
NAMED = {"saddle": 0.9, "minimum": 0.9, "none": 0.8}


def named(judgements: list[Judgement], truth: str) -> float:
    """Return the share that is named rightly, of what is smooth and truly so."""
    members = [j for j in judgements if j.control.truth == truth and not j.control.kinked]
    return sum(j.verdict == RIGHT for j in members) / len(members)


def check(judgements: list[Judgement]) -> None:
    wrong = [(j.control.name, j.found.name, j.why) for j in judgements if j.verdict == WRONG]
    assert wrong == []
    for truth, least in NAMED.items():
        assert named(judgements, truth) >= least, truth


def test_no_control_of_a_sample_is_named_wrongly_and_most_are_named():
    check([judged(control) for control in sample()])


@pytest.mark.slow
def test_no_control_is_named_wrongly_and_nine_of_ten_are_named(capsys):
    """Ten minutes on one core; ``make test-verdicts`` runs it. The table is that of the docs."""
    halves = {
        half: [judged(control) for control in all_controls(half)]
        for half in (DEVELOPMENT, HELD_OUT)
    }
    with capsys.disabled():
        print(f"\n\nrightly / undecided / wrongly named:\n\n{table(halves)}\n")
    for judgements in halves.values():
        check(judgements)
