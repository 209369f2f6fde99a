import threading
from dataclasses import fields

import pytest
from command_line import invoke, refused

from spectra.errors import InputError
from spectra.system.files.limits import (
    NAMES,
    Limits,
    check_limit,
    counts_bytes,
    limit,
    raised_limits,
)


@pytest.mark.parametrize("name", NAMES)
def test_a_size_above_its_limit_says_what_came_the_limit_why_and_what_raises_it(name):
    most = limit(name)
    check_limit(name, most, "file")
    with pytest.raises(InputError) as error:
        check_limit(name, 2 * most, "file")
    said = str(error.value)
    reason = next(one.metadata["reason"] for one in fields(Limits) if one.name == name)
    assert said.startswith("file: ")
    assert f"({reason})" in said
    assert "\n" not in said
    advised = said.rpartition("spectra ")[2].removesuffix(" ...").split()
    assert advised[0] == "--limit"
    assert invoke(*advised, "recipes").exit_code == 0


@pytest.mark.parametrize("came", [2**63, 10**400, 10**5000], ids=["2^63", "10^400", "10^5000"])
def test_an_absurd_size_is_refused_without_advice_to_raise_the_limit(came):
    with pytest.raises(
        InputError, match=r"file: a number above 2\^63 is more than the limit of classes, 100,000 "
    ):
        check_limit("classes", came, "file")


def test_a_raised_limit_holds_inside_the_block_alone():
    with raised_limits(classes=7):
        with raised_limits(depth=3):
            assert (limit("classes"), limit("depth")) == (7, 3)
        assert (limit("classes"), limit("depth")) == (7, Limits().depth)
    assert limit("classes") == Limits().classes


def test_a_raised_limit_holds_in_its_own_thread_alone():
    seen = []
    with raised_limits(classes=7):
        thread = threading.Thread(target=lambda: seen.append(limit("classes")))
        thread.start()
        thread.join()
    assert seen == [Limits().classes]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"clases": 3}, "no limit 'clases'; expected one of json_file, "),
        ({"classes": 0}, "the limit classes must be an integer from 1, got 0"),
        ({"classes": True}, "got True"),
        ({"classes": "9"}, "got '9'"),
    ],
)
def test_what_is_no_limit_is_refused(values, complaint):
    with pytest.raises(InputError, match=complaint), raised_limits(**values):
        pass


def test_the_command_line_takes_limits_for_one_command(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "checkpoints.bundled_files.bundled_runs", lambda: seen.append(limit("classes")) or {}
    )
    invoke("--limit", "classes=7", "--limit", "json_file=2GiB", "checkpoints", "list", "--json")
    invoke("checkpoints", "list", "--json")
    assert seen == [7, Limits().classes]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("classes", "expected NAME=VALUE"),
        ("clases=3", "NAME one of json_file"),
        ("classes=3.5", "classes must be a whole number, got '3.5'"),
        ("classes=" + "9" * 99, "classes must be a whole number"),
        ("header=3x", "like 4GiB"),
        ("classes=0", "an integer from 1, got 0"),
        ("header=0", "an integer from 1, got 0"),
    ],
)
def test_what_is_no_limit_is_one_line_at_the_command_line(text, complaint):
    assert complaint in refused("--limit", text, "recipes")


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_is_listed_with_its_value(name):
    (line,) = (x for x in invoke("--limit", "help").stdout.splitlines() if x.split()[:1] == [name])
    assert line.endswith("iB)") == counts_bytes(name)
