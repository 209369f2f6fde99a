"""What the documents name is there: files, modules, commands in a line, and where links lead."""

import importlib.util
import re
from pathlib import Path

import pytest
from code_blocks import APART, check_command, pages
from links import anchors, broken, targets

ROOT = Path(__file__).parents[2]
PAGES = pages()
# Pages that the build of the site makes: docs/mkdocs/ says from what.
MADE = ("docs/reference/api/", "docs/reference/commands/", "docs/notebooks/", "docs/gallery/")


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def quoted_commands(text: str) -> list[str]:
    """Return the commands that a text shows within its lines."""
    return [" ".join(one.split()) for one in re.findall(r"`(spectra [^`]+)`", prose(text))]


def paths(text: str) -> list[str]:
    """Return the files and folders of the project that a text names, in commands too."""
    return re.findall(r"[`\s]((?:spectra|checkpoints|figures|cli|tests|docs)/[\w./-]*)[`\s]", text)


# The changelog tells what has been.
TODAY = [page for page in PAGES if page.name != "CHANGELOG.md"]


@pytest.mark.parametrize("page", TODAY, ids=named)
def test_commands_within_a_line_are_there_with_their_options(page):
    for line in quoted_commands(page.read_text("utf-8")):
        check_command(line)


@pytest.mark.parametrize("page", TODAY, ids=named)
def test_files_and_modules_that_a_page_names_are_there(page):
    # What a diff adds is not there yet; tests/house/test_contributing.py applies it.
    text = re.sub(r"```diff\n.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    missing = [path for path in paths(text) if not (ROOT / path).exists()]
    modules = re.findall(r"python -m ((?:spectra|checkpoints|figures|cli)[\w.]*)", text)
    missing += [name for name in modules if importlib.util.find_spec(name) is None]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    assert broken(page, made=[ROOT / place for place in MADE]) == []


def test_the_stored_results_are_no_pages():
    assert [page for page in PAGES if page.is_relative_to(APART)] == []


def test_commands_are_found_within_lines_alone():
    text = "Run `spectra data\nfetch cifar10`, or\n```\nsee `spectra bench`\n```\n"
    assert quoted_commands(text) == ["spectra data fetch cifar10"]


def test_anchors_are_those_of_the_headings():
    text = "# What λmin is\n## `--arch`: the network\n## Same\n## Same\n```\n# no heading\n```\n"
    assert anchors(text) == {"what-λmin-is", "--arch-the-network", "same"}


def test_links_in_text_and_images_are_found():
    assert targets("[a](b.md#c) ![d](e.png) `[no](x)` <https://a.org>") == [
        "b.md#c",
        "e.png",
        "https://a.org",
    ]


@pytest.mark.parametrize(
    "target", ["nothing.md", "README.md#nothing", "https://", "http:/a.org/b", "//a.org", "/etc"]
)
def test_a_link_that_leads_nowhere_is_seen(target):
    page = ROOT / "page.md"
    assert broken(page, text=f"[text]({target})") == [target]


def test_a_link_to_a_page_an_anchor_or_elsewhere_is_taken():
    text = "[a](README.md) [b](docs/verdicts.md) [c](#d) [e](https://arxiv.org/abs/1/f)\n# d\n"
    assert broken(ROOT / "page.md", text=text) == []
