"""The page of a report in Chromium: what it shows, and that it stays at home."""

import shutil
import subprocess
from pathlib import Path

import pytest
from drawn_results import analysis, record_of

from figures import write_report
from figures.report.gather import gather_report

PAGE = Path(__file__).parents[2] / "figures/report/page"
AXE = PAGE / "node_modules/axe-core/axe.min.js"
MATRIX = "#verdicts .matrix"
RUN, CLASS, VERDICT, LOW = 0, 1, 2, 3
CLASSES = ["class 0", "class 1", "class 10", "head", "tail"]

pytestmark = pytest.mark.browser


def test_every_class_of_every_recipe_is_in_the_matrix_and_at_a_glance(opened):
    shown = opened()
    lines = shown.table(MATRIX)
    assert [line[CLASS] for line in lines] == 2 * CLASSES
    assert [line[RUN] for line in lines[:: len(CLASSES)]] == [line[RUN] for line in lines[4::5]]
    glance = shown.table("#verdicts .glance")
    assert [len(line) for line in glance] == [1 + len(CLASSES)] * 2


def test_every_class_has_its_panel(opened):
    page = opened().page
    assert page.locator("#densities .panels svg[role=img]").count() == len(CLASSES)
    captions = page.locator("#densities .panels figcaption strong").all_inner_texts()
    assert [text.strip() for text in captions] == CLASSES


def test_the_first_chart_begins_with_classes_that_have_a_density(opened, spectra_of, tmp_path):
    groups = [record_of(None, label) for label in ("head", "tail")]
    found = analysis(record_of(spectra_of["0"], "0"), *groups)
    page = opened(file=write_report(found, tmp_path / "report.html")).page
    assert page.locator("#densities .wide-chart svg[role=img]").count() == 1


def test_nothing_is_said_on_the_console_and_nothing_is_asked_for(opened):
    shown = opened()
    for slider in ("Checkpoint", "Smoothing σ"):
        shown.slide(slider, "ArrowLeft")
    assert shown.complaints == []
    assert shown.requests == [shown.file.as_uri()]


def test_the_policy_stops_a_request(opened):
    shown = opened()
    answer = shown.page.evaluate("fetch('https://example.org').then(() => 'sent', () => 'stopped')")
    assert answer == "stopped"
    assert any("Content Security Policy" in said for said in shown.complaints)


def test_a_name_that_is_html_is_text(opened):
    page = opened().page
    assert page.get_by_text("<img src=x onerror=alert(1)></script>").count() > 0
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("key", ["click", "Enter"])
def test_a_heading_sorts_and_turns_the_order(opened, key):
    shown = opened()
    heading = shown.page.locator(f"{MATRIX} th", has_text="λmin").first
    orders = {}
    for _ in range(2):
        button = heading.locator("button")
        button.click() if key == "click" else button.press(key)
        shown.settle()
        values = [number_of(line[LOW]) for line in shown.table(MATRIX)]
        orders[heading.get_attribute("aria-sort")] = values
    assert orders["ascending"] == sorted(orders["ascending"])
    assert orders["descending"] == orders["ascending"][::-1]


def test_classes_sort_as_people_count(opened):
    shown = opened()
    shown.page.get_by_role("button", name="Class", exact=True).click()
    shown.settle()
    first = [line[CLASS] for line in shown.table(MATRIX)][::2]
    assert first == CLASSES


@pytest.mark.parametrize(
    ("label", "choice", "left"),
    [("Run", "ce-drw", 5), ("Class or group", "tail", 2), ("Verdict", "undecided", 2)],
)
def test_a_filter_leaves_what_fits(opened, label, choice, left):
    shown = opened()
    shown.page.locator("#verdicts").get_by_label(label, exact=True).select_option(label=choice)
    assert len(shown.table(MATRIX)) == left
    assert shown.page.locator("#verdicts .told").inner_text() == f"{left} lines"


def test_words_filter_and_say_where_nothing_fits(opened):
    shown = opened()
    box = shown.page.get_by_label("Text")
    box.fill("CLASS 10")
    assert {line[CLASS] for line in shown.table(MATRIX)} == {"class 10"}
    box.fill("no such words")
    assert shown.table(MATRIX) == []
    assert "No line" in shown.page.locator("#verdicts .told").inner_text()


def test_the_checkpoint_slider_sets_matrix_and_densities(opened):
    shown = opened()
    before = shown.table(MATRIX)
    assert shown.slide("Checkpoint", "ArrowLeft") == "epoch 100 of 200"
    after = shown.table(MATRIX)
    # λmin of the training images is twice as low at half the epochs.
    assert [2 * number_of(b[LOW]) for b in before] == [number_of(a[LOW]) for a in after]
    assert "No density at this checkpoint" in shown.page.locator("#densities").inner_text()


def test_images_of_the_other_split_are_shown(opened):
    shown = opened()
    shown.page.get_by_label("Images", exact=True).select_option(label="test")
    shown.settle()
    assert number_of(shown.table(MATRIX)[0][LOW]) == -0.75


def test_a_run_beside_itself_has_equal_ratios(opened):
    shown = opened()
    section = shown.page.locator("#side-by-side")
    assert section.locator("svg").count() == 2
    section.get_by_label("Right", exact=True).select_option(index=0)
    shown.settle()
    assert {line[5] for line in shown.table("#side-by-side")} == {"1.00"}


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_does_not_scroll_sideways(opened, width):
    page = opened(width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_value_is_shown_where_the_pointer_is(opened):
    shown = opened()
    chart = shown.page.locator("#trajectories svg[role=img]").first
    chart.locator("circle").last.hover(force=True)
    shown.settle()
    assert "epoch 200" in chart.text_content()


def test_the_switch_of_the_theme_turns_the_page_dark(opened):
    shown = opened(color_scheme="light")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = shown.page.evaluate(colour)
    button = shown.page.get_by_role("button", name="Theme")
    button.click(click_count=1)
    button.click(click_count=1)
    assert button.inner_text() == "Theme: dark"
    assert shown.page.evaluate(colour) != light
    assert opened(color_scheme="dark").page.evaluate(colour) == shown.page.evaluate(colour)


def test_on_paper_all_is_open_and_no_control_is_left(opened):
    page = opened(color_scheme="dark").page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("select:visible, input:visible").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_an_empty_report_names_the_commands_that_fill_it(opened, tmp_path):
    nothing = gather_report([analysis()])
    shown = opened(file=write_report(nothing, tmp_path / "report.html"))
    assert shown.complaints == []
    for section in ("verdicts", "densities", "trajectories", "images", "protocols"):
        assert "'spectra" not in shown.page.locator(f"#{section}").inner_text()
        assert shown.page.locator(f"#{section} p code").count() >= 1


def test_without_scripts_there_is_still_a_table(opened):
    page = opened(java_script_enabled=False).page
    text = page.locator("noscript table").inner_text()
    assert all(name in text for name in CLASSES)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_anybody_out(opened, scheme):
    if not AXE.is_file():
        pytest.skip("needs axe-core: make report-bundle")
    page = opened(color_scheme=scheme, bypass_csp=True).page
    page.add_script_tag(content=AXE.read_text("utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_the_page_is_what_its_sources_give(tmp_path):
    node = shutil.which("node")
    if node is None or not AXE.is_file():
        pytest.skip("needs node, and make report-bundle")
    built = tmp_path / "page.html"
    subprocess.run([node, PAGE / "build.mjs", built], check=True, capture_output=True)
    assert built.read_bytes() == (PAGE / "page.html").read_bytes()


def number_of(text: str) -> float:
    return float(text.replace("−", "-").lstrip("≤≥ "))
