"""What the build of the site makes, without building it: no page is left out, no link bends."""

import re
from pathlib import Path

import api_pages
import command_pages
import pytest
from code_blocks import ROOT, pages
from links import OUTSIDE, on_the_site

import checkpoints
import figures
import spectra
from cli.options.group import COMMANDS

SETTINGS = (ROOT / "docs/mkdocs/mkdocs.yml").read_text("utf-8")
SOURCES = {path.relative_to(ROOT / "docs").as_posix() for path in pages() if path.parent != ROOT}
NOTEBOOKS = [path.stem for path in (ROOT / "docs/notebooks").glob("*.ipynb")]


def test_the_navigation_holds_every_page_once():
    shown = re.findall(r": ([\w./-]+\.md)$", SETTINGS, re.MULTILINE)
    made = {f"notebooks/{name}.md" for name in NOTEBOOKS} | set(OUTSIDE.values())
    assert sorted(shown) == sorted(SOURCES | made)


def test_nothing_of_the_settings_is_fetched_from_elsewhere():
    without_notes = re.sub(r"#.*", "", SETTINGS)
    assert re.findall(r"https?:|//", without_notes) == []
    assert "font: false" in without_notes


@pytest.mark.parametrize("package", [spectra, checkpoints, figures])
def test_every_public_name_has_its_place_in_the_reference(package):
    name = package.__name__
    documented = [
        one
        for place, text in api_pages.pages().items()
        if place.startswith(f"reference/api/{name}/")
        for one in re.findall(rf"^::: {name}\.(\w+)$", text, re.MULTILINE)
    ]
    assert sorted(documented) == sorted(set(package.__all__) - {"__version__"})


def test_the_index_of_the_reference_says_what_a_name_is():
    index = api_pages.pages()["reference/api/index.md"]
    assert "| [`slq`][spectra.slq] | Estimate the spectral density of ``op`` by" in index


def test_every_command_has_a_page_with_its_options():
    found = command_pages.pages()
    assert set(found) == {f"reference/commands/{name}.md" for name in ("index", *COMMANDS)}
    assert "<code>--num-probes INTEGER</code>" in found["reference/commands/analyze.md"]
    assert "```sh\n# " in found["reference/commands/analyze.md"]
    assert "`spectra checkpoints inspect`" in found["reference/commands/checkpoints.md"]


@pytest.mark.parametrize("place", command_pages.pages())
def test_no_text_of_a_command_is_taken_for_a_mark(place):
    text = re.sub(r"```.*?```|`[^`]*`", "", command_pages.pages()[place], flags=re.DOTALL)
    assert re.findall(r"(?<!\\)[*_](?=\w)", text.replace("**", "")) == []


@pytest.mark.parametrize(
    ("page", "link", "becomes"),
    [
        ("docs/index.md", "[a](verdicts.md#b)", "[a](verdicts.md#b)"),
        ("docs/how-to/loss.md", "[a](../../CONTRIBUTING.md)", "[a](../project/contributing.md)"),
        ("docs/index.md", "[a](../README.md)", "[a](index.md)"),
        ("CHANGELOG.md", "![a](docs/images/b.png)", "![a](../images/b.png)"),
        ("docs/index.md", "[a](notebooks/own.ipynb)", "[a](notebooks/own.md)"),
        ("docs/index.md", "[`a`](../spectra/errors.py)", "`a`"),
        ("docs/index.md", "[a](nothing.md)", "[a](nothing.md)"),
        ("docs/index.md", "[a](https://arxiv.org/abs/1)", "[a](https://arxiv.org/abs/1)"),
        ("docs/index.md", "```\n[a](../README.md)\n```", "```\n[a](../README.md)\n```"),
    ],
)
def test_a_link_leads_to_the_page_that_the_site_has(page, link, becomes):
    kept = {"verdicts.md", "index.md", "images/b.png", "notebooks/own.md"} | set(OUTSIDE.values())
    place = OUTSIDE.get(page, page.removeprefix("docs/"))
    assert on_the_site(link, page, place, kept) == becomes


def test_notebooks_hold_no_outputs():
    texts = [path.read_text("utf-8") for path in Path(ROOT / "docs/notebooks").glob("*.ipynb")]
    assert texts
    assert not any(re.search(r'"outputs": \[\s*[^\s\]]', text) for text in texts)
