"""What mkdocs calls while it builds the site: pages are made, and links fitted to it."""

import contextlib
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import api_pages
import code_blocks
import command_pages
import links
import notebooks
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HERE = Path(__file__).parent
ROOT = code_blocks.ROOT
ASSETS = ("iframe-worker.js", "site.css")
INSIDE = {place: file for file, place in links.OUTSIDE.items() if file != "README.md"}


def on_config(config: MkDocsConfig) -> None:
    """Put the made pages into the navigation, where their folders stand."""
    made = {
        f"{command_pages.FOLDER}/": list(command_pages.pages()),
        f"{api_pages.FOLDER}/": api_pages.navigation(),
    }

    def filled(part: Any) -> Any:
        if isinstance(part, list):
            return [filled(one) for one in part]
        if isinstance(part, dict):
            return {title: filled(inner) for title, inner in part.items()}
        return made.get(part, part)

    config.nav = filled(config.nav)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add what the repository does not hold, or holds outside ``docs/``."""

    def add(place: str, content: str | bytes) -> None:
        files.append(File.generated(config, place, content=content))

    for place, text in {**command_pages.pages(), **api_pages.pages()}.items():
        add(place, text)
    for place, file in INSIDE.items():
        text = (ROOT / file).read_text("utf-8")
        add(place, text if file.endswith(".md") else f"# {file}\n\n```text\n{text}```\n")
    for name in ASSETS:
        add(f"assets/{name}", (HERE / name).read_bytes())
    for path in notebooks.notebooks():
        page = notebooks.run(path)
        add(f"notebooks/{path.stem}.md", page.text)
        for name, image in page.images.items():
            add(f"notebooks/{name}", image)
    for source in code_blocks.DRAWING:
        for place, written in drawn(source).items():
            add(place, written)


def drawn(page: Path) -> dict[str, bytes]:
    """Run the blocks of a page; return what they write into the folder of its name."""
    with TemporaryDirectory() as folder, code_blocks.reading_in(Path(folder)) as reader:
        with contextlib.redirect_stdout(None):
            for block in code_blocks.blocks(page):
                if block.runs:
                    reader.run(block)
        found = [path for path in sorted(Path(folder, page.stem).iterdir()) if path.is_file()]
        return {f"{page.stem}/{path.name}": path.read_bytes() for path in found}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fit a page to the site: its links, and Markdown within what folds."""
    place = page.file.src_uri
    file = INSIDE.get(place, f"docs/{place}")
    text = re.sub(r"^<details>", '<details markdown="1">', markdown, flags=re.MULTILINE)
    kept = {one.src_uri for one in files if one.inclusion.is_included()}
    return links.on_the_site(text, file, place, kept)
