"""Classes that are drawn at random: which, and what a result says of the draw."""

from collections import Counter

import pytest

from checkpoints import AnalysisRequest, analyze, load_checkpoint, load_data
from checkpoints.analysis.named_classes import (
    drawn_classes,
    parse_selection,
    smaller_groups,
)
from spectra import InputError, SolverSettings
from spectra.results.groups.summary import group_summaries

GROUPS = {"head": tuple(range(10)), "tail": tuple(range(10, 40)), "mid": ()}


def drawn(text, seed=0):
    return drawn_classes(text, GROUPS, seed=seed)


def test_a_sample_takes_as_many_classes_of_each_group_as_it_says():
    assert {name: len(classes) for name, classes in drawn("sample:4").items()} == {
        "head": 4, "tail": 4, "mid": 0,
    }  # fmt: skip
    assert set(drawn("tail:5")["tail"]) <= set(GROUPS["tail"])
    assert drawn("sample:500")["tail"] == GROUPS["tail"]


def test_a_larger_sample_holds_the_smaller_one():
    assert set(drawn("tail:5")["tail"]) < set(drawn("tail:9")["tail"])


def test_another_seed_draws_other_classes_and_the_same_seed_the_same():
    assert drawn("tail:9") == drawn("tail:9")
    assert drawn("tail:9") != drawn("tail:9", seed=1)


def test_every_class_is_drawn_as_often_as_every_other():
    times = Counter(c for seed in range(600) for c in drawn("tail:6", seed)["tail"])
    # 600 draws of 6 of 30 give 120 of each, with a standard deviation of 9.8.
    assert all(80 < times[c] < 160 for c in GROUPS["tail"])


def test_a_sample_stands_among_other_classes():
    chosen = parse_selection("tail, head:2, 3", GROUPS, num_classes=40)
    assert len(chosen) in (3, 4)  # 3 may be one of the two
    assert chosen["tail"] == GROUPS["tail"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tail:", "must say how many classes are drawn, such as tail:20; got ''"),
        ("tail:0", "got '0'"),
        ("sample:-3", "got '-3'"),
        ("rare:5", "no group 'rare' to draw classes from; expected sample .* head, tail, mid"),
    ],
)
def test_a_sample_that_cannot_be_drawn_is_a_line(text, said):
    with pytest.raises(InputError, match=said):
        parse_selection(text, GROUPS, num_classes=40)


def test_a_result_says_which_classes_were_drawn_and_of_which_group(tmp_path):
    solver = SolverSettings(num_probes=0, max_steps=4, proof=False, bending=False)
    request = AnalysisRequest(classes="tail:2", solver=solver, images_per_class=4)
    found = analyze("bundled:digits/ce-drw", request=request, units=tmp_path)
    tail = found.protocol.class_groups[-1]
    assert (tail.name, tail.classes) == ("tail", (7, 8, 9))
    assert [record.classes[0] for record in found.records] == list(tail.drawn)
    (summed_up,) = group_summaries(found)
    assert (summed_up.analyzed, summed_up.classes, summed_up.how) == (2, 3, "sample")


def test_the_word_of_another_kind_of_data_names_the_same_group():
    groups = {"many": (0, 1), "medium": (2,), "few": (3, 4, 5)}
    assert list(drawn_classes("tail:2", groups, seed=0)) == ["few"]
    assert len(parse_selection("tail:2,head", groups, num_classes=6)) == 3


def test_a_group_of_fewer_classes_than_are_asked_for_is_named():
    trained, data = load_checkpoint("bundled:digits/ce-drw"), load_data()
    said = smaller_groups(AnalysisRequest(classes="tail:50,mid:2,sample:9"), trained, data)
    assert said == ("tail:50: group tail has 3 classes with images; all are analyzed",)
