"""Links of the documents: whether they lead somewhere, and what they become on the site.

In the repository a link names a file beside the page. On the site a file outside ``docs/`` either
has a page of its own (``OUTSIDE``), or is no part of the site, and of its link the words remain.
"""

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from code_blocks import ROOT
from markdown_it import MarkdownIt

# Files of the repository's root, by their pages on the site.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "THIRD-PARTY.md": "project/third-party.md",
    "LICENSE": "project/license.md",
}
LINK = re.compile(r"(?P<image>!?)\[(?P<words>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s]+)\)")
FENCED = re.compile(r"(^ *```.*?^ *```)", re.DOTALL | re.MULTILINE)


def targets(text: str) -> list[str]:
    """Return where the links and images of a page lead, in their order."""
    inline = [token for token in MarkdownIt().parse(text) if token.type == "inline"]
    inner = [one for token in inline for one in token.children or ()]
    found = [one.attrGet({"link_open": "href", "image": "src"}.get(one.type, "")) for one in inner]
    return [unquote(str(target)) for target in found if target]


def anchors(text: str) -> set[str]:
    """Return what may stand after ``#`` in a link to a page: its headings and its marks."""
    tokens = MarkdownIt().parse(text)
    found = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for opening, token in pairwise(tokens):
        if opening.type == "heading_open":
            words = [one.content for one in token.children or ()]
            found.add(_anchor("".join(words)))
    return found


def _anchor(heading: str) -> str:
    """Return what hosts of repositories and the site (pymdownx) both make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")


def broken(page: Path, text: str | None = None, made: Sequence[Path] = ()) -> list[str]:
    """Return the links of a page that lead nowhere; links to elsewhere are judged by their form.

    Args:
        page: the file.
        text: its text; None: it is read.
        made: folders of pages that are there on the site alone.
    """
    text = page.read_text("utf-8") if text is None else text
    return [target for target in targets(text) if not _leads_on(page, text, target, made)]


def _leads_on(page: Path, text: str, target: str, made: Sequence[Path]) -> bool:
    parts = urlsplit(target)
    if parts.scheme in ("http", "https"):
        return re.fullmatch(r"([\w-]+\.)+[a-z]{2,}", parts.netloc) is not None
    if parts.scheme or parts.netloc or parts.path.startswith("/"):
        return False
    file = Path(os.path.normpath(page.parent / parts.path)) if parts.path else page
    if any(file.is_relative_to(folder) for folder in made):
        return True
    if parts.path and not file.exists():
        return False
    there = text if file == page else file.read_text("utf-8") if file.suffix == ".md" else ""
    return not parts.fragment or parts.fragment in anchors(there)


def on_the_site(text: str, page: str, place: str, kept: set[str]) -> str:
    """Return a page's text with its links as the site has them.

    Args:
        text: Markdown.
        page: the page's file, from the repository's root.
        place: of the page on the site, from ``docs/``.
        kept: the files of the site, from ``docs/``.
    """
    parts = FENCED.split(text)
    return "".join(
        part if n % 2 else LINK.sub(lambda link: _moved(link, page, place, kept), part)
        for n, part in enumerate(parts)
    )


def _moved(link: re.Match[str], page: str, place: str, kept: set[str]) -> str:
    target = urlsplit(link["target"])
    if target.scheme or not target.path:
        return link[0]
    file = os.path.normpath(PurePosixPath(page).parent / target.path)
    goal = OUTSIDE.get(file, file.removeprefix("docs/") if file.startswith("docs/") else None)
    if goal is not None and goal.endswith(".ipynb"):
        goal = goal.removesuffix(".ipynb") + ".md"
    if goal not in kept:
        # What is neither on the site nor in the repository is for the build to complain of.
        return link["words"] if (ROOT / file).exists() else link[0]
    there = os.path.relpath(goal, PurePosixPath(place).parent)
    anchor = f"#{target.fragment}" if target.fragment else ""
    return f"{link['image']}[{link['words']}]({there}{anchor})"
