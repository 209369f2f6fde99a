"""The page of many classes: their groups, and as much text as a page can hold."""

from dataclasses import replace

import pytest
from made_results import analysis, record

from figures.report import rows
from figures.report.gather import gather_report
from figures.report.write import report_page
from spectra.results.groups.many import MANY
from spectra.results.provenance import ClassGroup

HEAD, TAIL = tuple(range(MANY)), tuple(range(MANY, MANY + 20))


def found(classes=(*HEAD, *TAIL), drawn=(), **rest):
    """Return many classes of two groups, by copies of one record."""
    one = analysis("ce", labels="", **rest)
    made = record("0", density=False)
    records = [
        replace(made, label=str(c), classes=(c,), lambda_min=made.lambda_min - c) for c in classes
    ]
    groups = (ClassGroup("tail", TAIL, drawn), ClassGroup("head", HEAD))
    known = replace(one.checkpoint, class_counts=tuple(900 - c for c in (*HEAD, *TAIL)))
    protocol = replace(one.protocol, class_groups=groups)
    return replace(one, checkpoint=known, protocol=protocol, records=tuple(records))


def test_every_class_says_the_group_that_the_result_has_it_in():
    report = gather_report([found()])
    assert [group.name for group in report.groups] == ["head", "tail"]
    assert [label.group for label in report.labels] == ["head"] * 200 + ["tail"] * 20


def test_losses_of_groups_still_say_which_classes_are_in_them():
    report = gather_report([analysis("ce", labels="0 8 tail")])
    assert {label.name: label.group for label in report.labels}["8"] == "tail"
    assert [group.name for group in report.groups] == ["tail"]


def test_a_sample_is_said_of_its_group():
    (said,) = gather_report([found(TAIL[::2], drawn=TAIL[::2])]).samples
    assert said.startswith("ce, digits/ce, epoch 200: tail: 10 of the 20 classes were drawn")
    assert gather_report([found()]).samples == ()


@pytest.mark.parametrize(("most", "kept"), [(219, False), (220, True)])
def test_statements_of_certificates_are_left_out_of_a_page_of_very_many_rows(
    monkeypatch, most, kept
):
    monkeypatch.setattr(rows, "GROUNDS_UP_TO", most)
    row = gather_report([found()]).rows[0]
    assert bool(row.lambda_min.grounds) is kept
    assert row.lambda_min.attained is not None


def test_without_scripts_the_classes_of_lowest_ends_are_shown():
    page = report_page(gather_report([found()]))
    assert page.count("<tr>") == MANY + 1
    assert "The 200 of lowest λmin, of 220." in page
    assert "<td>class 219</td>" in page
