"""The file that every report is made of: small, built of its sources, closed to the outside."""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "figures/report/page"
LARGEST = 250_000


@pytest.fixture(scope="module")
def page() -> str:
    return (files("figures.report") / "page" / "page.html").read_text(encoding="utf-8")


def test_the_page_without_its_document_is_at_most_250_kilobytes(page):
    assert len(page.encode()) <= LARGEST


def test_the_page_was_built_after_its_sources_were_changed_last(page):
    """Else: make report-bundle."""
    digest = hashlib.sha256()
    kinds = (".js", ".mjs", ".css", ".json")
    for source in sorted(SOURCES.iterdir(), key=lambda path: path.name):
        if source.suffix in kinds or source.name == "template.html":
            digest.update(f"{source.name}\n".encode() + source.read_bytes())
    assert digest.hexdigest() in page


def test_the_policy_lets_the_one_script_run_and_nothing_be_fetched(page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"script-src 'sha256-{digest}'"]
    assert page.count("<script>") == 1


def test_the_page_names_the_licence_and_the_holders_of_what_is_inside(page):
    for said in ("Observable, Inc.", "Mike Bostock", "ISC license", "Permission to use, copy"):
        assert said in page


def test_the_page_has_each_place_to_fill_once_but_for_its_title(page):
    marks = re.findall("__REPORT_[A-Z]+__", page)
    assert sorted(marks) == ["__REPORT_JSON__", "__REPORT_TABLE__", *["__REPORT_TITLE__"] * 2]
