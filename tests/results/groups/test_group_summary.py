"""What is said of a group of classes, by how its classes were chosen."""

from dataclasses import replace

import pytest
from drawn_results import analysis, record_of

from spectra.results.groups.summary import group_rows, group_summaries
from spectra.results.provenance import ClassGroup

MANY, FEW = tuple(range(30)), tuple(range(30, 40))


def found(classes, *, drawn=()):
    """Return an analysis of some classes of two groups; class k has λmin −k, and 20 have none."""
    records = [
        record_of(None, str(c), low=-float(c) if c >= 20 else 0.0, high=10.0, n=100 - c)
        for c in classes
    ]
    groups = (ClassGroup("many", MANY, drawn), ClassGroup("few", FEW))
    one = analysis(*records, class_groups=groups)
    return replace(one, checkpoint=replace(one.checkpoint, class_counts=(5,) * 40))


def test_a_whole_group_is_summed_up_without_intervals_to_speak_of():
    many, few, every = group_summaries(found(range(40)))
    assert [many.how, few.how, every.name] == ["all", "all", "all"]
    assert many.negative_share.lower == many.negative_share.upper == 10 / 30
    assert few.mean_lambda_min.lower == few.mean_lambda_min.estimate == -34.5
    assert few.median_ratio.estimate == 3.45
    assert few.images == (61, 70)


def test_a_random_sample_speaks_of_its_whole_group():
    drawn = tuple(range(0, 30, 2))
    (many,) = group_summaries(found(drawn, drawn=drawn))
    assert (many.how, many.analyzed, many.classes) == ("sample", 15, 30)
    assert many.negative_share.lower < many.negative_share.estimate < many.negative_share.upper


def test_classes_added_by_hand_are_no_part_of_the_sample():
    (many,) = group_summaries(found((*range(10), 29), drawn=tuple(range(10))))
    assert many.analyzed == 10
    assert many.negative == 0


def test_classes_chosen_by_hand_say_nothing_of_the_others():
    (few,) = group_summaries(found(FEW[:6]))
    assert few.how == "some"
    assert few.mean_lambda_min is few.negative_share is few.median_ratio is None
    assert few.lambda_min.median == -32.5


def test_without_groups_all_classes_are_one():
    one = found(range(40))
    one = replace(one, protocol=replace(one.protocol, class_groups=()))
    (every,) = group_summaries(one)
    assert (every.name, every.analyzed, every.how) == ("all", 40, "all")


@pytest.mark.parametrize("labels", [(), ("head", "tail")])
def test_losses_of_groups_alone_have_no_classes_to_sum_up(labels):
    assert group_summaries(analysis(*(record_of(None, label) for label in labels))) == []


def test_rows_of_groups_have_one_set_of_columns_whatever_is_known():
    whole, part = (
        group_rows(group_summaries(found(range(40)))),
        group_rows(group_summaries(found(FEW[:6]))),
    )
    assert {tuple(row) for row in (*whole, *part)} == {tuple(whole[0])}
    assert part[0]["negative_share_at_least"] is None
    assert whole[0]["ratio_50_at_least"] == whole[0]["ratio_50"]
