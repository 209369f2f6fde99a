"""A thousand classes in Chromium: groups at a glance, a table in pages, searched and sorted."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from drawn_results import analysis, record_of

import figures
from figures import write_report
from spectra.results.provenance import ClassGroup

AXE = Path(figures.__file__).parent / "report/page/node_modules/axe-core/axe.min.js"
CLASSES = 1000
MATRIX = "#verdicts .matrix"
CLASS, LOW = 1, 3
GROUPS = {"many": range(400), "medium": range(400, 800), "few": range(800, CLASSES)}

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def thousand(tmp_path_factory, spectra_of):
    """Two checkpoints of 1,000 classes; the last has densities of two of them."""

    def at(epoch):
        records = [
            record_of(
                spectra_of["0"] if epoch == 200 and c in (7, 990) else None,
                str(c), low=-0.01 * (1 + c % 50) * epoch, high=30.0, n=CLASSES + 4 - c,
            )
            for c in range(CLASSES)
        ]  # fmt: skip
        groups = tuple(ClassGroup(name, tuple(ones)) for name, ones in GROUPS.items())
        one = analysis(*records, epoch=epoch, class_groups=groups)
        counts = tuple(CLASSES + 4 - c for c in range(CLASSES))
        return replace(one, checkpoint=replace(one.checkpoint, name="ce", class_counts=counts))

    folder = tmp_path_factory.mktemp("many")
    return write_report([at(100), at(200)], folder / "report.html")


@pytest.fixture
def shown(opened, thousand):
    return opened(file=thousand)


def lines(shown):
    return [line[CLASS] for line in shown.table(MATRIX)]


def press(shown, name):
    shown.page.get_by_role("button", name=name).first.click()
    shown.settle()


def test_a_thousand_classes_open_within_three_seconds_from_a_page_under_5_megabytes(
    opened, thousand
):
    assert thousand.stat().st_size < 5e6
    began = time.perf_counter()
    opened(file=thousand)
    assert time.perf_counter() - began < 3


def test_groups_are_shown_at_a_glance_and_classes_as_points(shown):
    glance = shown.table("#verdicts > div:first-of-type")
    assert [line[1] for line in glance] == ["many", "medium", "few", "all classes"]
    assert [line[2] for line in glance] == ["400", "400", "200", "1,000"]
    dots = shown.page.locator("#verdicts figure svg[role=img]").first.locator("circle, path")
    assert dots.count() > CLASSES


def test_the_table_begins_with_the_lowest_and_is_turned_page_by_page(shown):
    first = lines(shown)
    assert len(first) == 50
    assert first[0] == "class 49"
    press(shown, "after ›")
    assert not set(lines(shown)) & set(first)
    assert "51 to 100 of 1,000" in shown.page.locator("#verdicts .pages").inner_text()


def test_the_table_is_sorted_over_all_pages(shown):
    shown.page.locator(MATRIX).get_by_role("button", name="λmin", exact=False).first.click()
    shown.settle()
    assert shown.table(MATRIX)[0][LOW].endswith("2.00")  # the highest of all: -0.01 x 200


def test_a_class_is_found_by_its_name_and_classes_by_their_group(shown):
    shown.page.get_by_role("searchbox", name="Text").fill("class 777")
    shown.settle()
    assert lines(shown) == ["class 777"]
    shown.page.get_by_role("searchbox", name="Text").fill("")
    shown.page.get_by_role("combobox", name="Classes of").select_option("few")
    shown.settle()
    assert shown.page.locator("#verdicts .told").inner_text() == "200 lines"


def test_curves_are_of_groups_and_of_chosen_classes(shown):
    names = "#trajectories tbody tr, #trajectories thead th"
    shown.page.locator("#trajectories summary").click()
    heads = shown.page.locator("#trajectories thead th").all_inner_texts()
    assert "median of few, ratio" in heads
    field = shown.page.locator("#trajectories input[type=search]")
    field.fill("class 5")
    field.press("Enter")
    shown.settle()
    assert "class 5, ratio" in shown.page.locator("#trajectories thead th").all_inner_texts()
    assert shown.page.locator(names).count() < 40


def test_panels_of_densities_are_those_of_chosen_classes(shown):
    captions = shown.page.locator("#densities .panels figcaption strong").all_inner_texts()
    assert [text.strip() for text in captions] == ["class 7", "class 990"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_a_page_of_many_that_keeps_anybody_out(opened, thousand, scheme):
    if not AXE.is_file():
        pytest.skip("needs axe-core: make report-bundle")
    page = opened(file=thousand, color_scheme=scheme, bypass_csp=True).page
    page.add_script_tag(content=AXE.read_text("utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_many_classes_raise_no_complaint_and_ask_for_nothing(opened, thousand, scheme):
    shown = opened(file=thousand, color_scheme=scheme)
    press(shown, "after ›")
    assert shown.complaints == []
    assert shown.requests == [thousand.as_uri()]
