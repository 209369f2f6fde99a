import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from command_line import invoke, refused
from made_results import analysis

import figures
from figures.report.contents import Report
from figures.report.gather import gather_report
from figures.report.write import embedded_json, report_page
from spectra import InputError
from spectra.results.analysis import analysis_to_plain
from spectra.results.plain import from_plain

EVIL = "</script><script>alert(1)</script><!-- __REPORT_JSON__ & \u2028\x1b[31m $x$"
LARGEST = 3_000_000
JSON_IN_PAGE = re.compile(
    r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', re.DOTALL | re.IGNORECASE
)


def embedded(page: str) -> dict:
    """Return the report as a browser reads it out of the page."""
    found = JSON_IN_PAGE.findall(page)
    assert len(found) == 1
    return json.loads(found[0])


class Elements(HTMLParser):
    """The names of the elements of a page, and the addresses that it asks for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_page_holds_what_was_gathered_to_seven_digits():
    report = gather_report([analysis("ce"), analysis("vs")])
    read = from_plain(embedded(report_page(report)), Report, origin="page")
    assert read == from_plain(json.loads(embedded_json(report)), Report, origin="json")
    for held, row in zip(read.rows, report.rows, strict=True):
        assert held.ratio == pytest.approx(row.ratio, rel=5e-7)
        assert (held.label, held.verdict, held.sentence) == (row.label, row.verdict, row.sentence)


def test_foreign_names_are_inert():
    made = analysis("ce")
    evil = replace(
        made,
        checkpoint=replace(made.checkpoint, name=EVIL, recipe=EVIL, notes=(EVIL,)),
        records=(replace(made.records[0], label=EVIL), *made.records[1:]),
        versions={EVIL: EVIL},
    )
    page = report_page(gather_report([evil], title=EVIL))
    plain = report_page(gather_report([made], title="plain"))
    assert Elements(page).names.count("script") == Elements(plain).names.count("script")
    assert embedded(page)["runs"][0]["recipe"].startswith("</script><script>alert(1)")
    assert "\x1b" not in page
    assert "\u2028" not in JSON_IN_PAGE.findall(page)[0]


def test_the_page_asks_for_nothing_outside_itself():
    addresses = Elements(report_page(gather_report([analysis("ce")]))).addresses
    assert [a for a in addresses if not a.startswith(("#", "data:"))] == []


def test_without_scripts_the_page_has_every_loss_at_its_last_checkpoint():
    both = [analysis("ce", epoch, density=False) for epoch in (100, 200)]
    page = report_page(gather_report([*both, analysis("ce", split="test")]))
    table = page[page.index("<table><thead>") :].partition("</table>")[0]
    assert table.count("<tr>") == 1 + 2 * 3
    assert "<td>class 8</td><td>test</td><td>200</td>" in table


def test_ten_classes_at_ten_checkpoints_of_four_recipes_fit_three_megabytes():
    epochs = range(20, 201, 20)
    one = gather_report([analysis("ce-drw", epoch, "0 1 2 3 4 5 6 7 8 9") for epoch in epochs])
    held = len(embedded_json(one).encode())
    page = len(report_page(one).encode()) - held
    # All that grows with recipes is in rows and sources.
    assert page + 4 * held < LARGEST, f"{page + 4 * held:,} bytes"


def test_equal_results_give_equal_bytes(tmp_path):
    made = analysis("ce")
    first = figures.write_report(made, tmp_path / "a.html")
    second = figures.write_report([made], tmp_path / "b.html")
    assert first.read_bytes() == second.read_bytes()


def test_the_command_writes_the_page_beside_the_results_and_says_so(tmp_path):
    analysis("ce").save(tmp_path / "mine" / "analysis.json")
    done = invoke("report", tmp_path / "mine")
    assert done.exit_code == 0, done.output
    said, path = done.output.strip().splitlines()
    assert said == "report of 1 run, 1 checkpoint, 2 classes, 1 group of classes, 3 " \
        "densities; train images."  # fmt: skip
    assert path.strip() == str(tmp_path / "mine" / "report.html")
    assert embedded((tmp_path / "mine" / "report.html").read_text("utf-8"))["title"] == "ce"


def test_the_command_takes_a_title_and_a_place(tmp_path):
    analysis("ce").save(tmp_path / "analysis.json")
    place = tmp_path / "sent" / "page.html"
    done = invoke("report", tmp_path / "analysis.json", "-o", place, "--title", "Ours")
    assert done.exit_code == 0, done.output
    assert "<title>Ours" in place.read_text("utf-8")


def test_a_link_in_place_of_the_page_is_not_written_through(tmp_path):
    analysis("ce").save(tmp_path / "mine" / "analysis.json")
    (tmp_path / "victim.html").write_text("theirs")
    (tmp_path / "mine" / "report.html").symlink_to(tmp_path / "victim.html")
    assert "report.html is a link" in refused("report", tmp_path / "mine")
    assert (tmp_path / "victim.html").read_text() == "theirs"


def test_a_folder_of_a_training_stands_for_what_was_made_of_it(tmp_path):
    (tmp_path / "mine" / "checkpoints").mkdir(parents=True)
    analysis("ce").save(tmp_path / "analyze-mine" / "analysis.json")
    analysis("ce", 100, density=False).save(
        tmp_path / "trajectory-mine" / "mine" / "epoch-0100.json"
    )
    report = gather_report([tmp_path / "mine"])
    assert {row.epoch for row in report.rows} == {100, 200}


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (None, "there is no"),
        ({}, "is no result of 'spectra analyze'"),
        ("{", "is no result of 'spectra analyze'"),
        ({"format": "spectra.analysis"}, "schema: expected an integer"),
    ],
)
def test_a_file_that_is_no_result_is_one_line(tmp_path, write, said):
    path = tmp_path / "theirs.json"
    if write is not None:
        path.write_text(write if isinstance(write, str) else json.dumps(write))
    assert said in refused("report", path)


def test_a_folder_without_results_is_one_line(tmp_path):
    (tmp_path / "package.json").write_text("{}")
    assert "holds no results; give 'spectra analyze" in refused("report", tmp_path)


def test_files_of_others_in_a_folder_are_passed_over(tmp_path):
    analysis("ce").save(tmp_path / "mine.json")
    for name, text in (
        ("results.json", '{"top1": 0.9}'),
        ("protocols.json", "[1]"),
        ("a.json", ""),
    ):
        (tmp_path / name).write_text(text)
    os.mkfifo(tmp_path / "pipe.json")
    assert [one.file for one in gather_report([tmp_path]).sources] == [f"{tmp_path.name}/mine.json"]


def test_a_result_that_another_program_wrote_anew_is_read(tmp_path):
    plain = analysis_to_plain(analysis("ce"))
    (tmp_path / "mine.json").write_text(json.dumps(plain, separators=(",", ":")))
    assert len(gather_report([tmp_path / "mine.json"]).rows) == 3


def test_a_damaged_result_in_a_folder_is_named(tmp_path):
    (tmp_path / "analysis.json").write_text('{"format": "spec')
    assert f"{tmp_path / 'analysis.json'}" in refused("report", tmp_path)


def test_nothing_at_all_is_refused():
    with pytest.raises(InputError, match="name at least one"):
        figures.write_report([])
