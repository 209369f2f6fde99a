"""One kind of callback for how far work has come."""

from spectra.system.progress import counted, within


def test_within_says_the_scope_before_what_is_worked_on():
    seen = []
    report = within(within(lambda *row: seen.append(row), "run 2"), "class 8")
    report("", 3, 80)
    report("bootstrap", 1, 2)
    assert seen == [("run 2 class 8", 3, 80), ("run 2 class 8 bootstrap", 1, 2)]


def test_counted_reports_steps_after_those_before():
    seen = []
    counted(lambda *row: seen.append(row), 160, before=80)(5)
    assert seen == [("", 85, 160)]


def test_more_steps_than_were_planned_are_as_many():
    seen = []
    counted(lambda *row: seen.append(row), 12, before=12)(6)
    assert seen == [("", 18, 18)]


def test_there_is_no_callback_of_none():
    assert within(None, "class 8") is None
    assert counted(None, 80) is None
