"""The notebooks, run when the site is built, as pages with what they print and draw.

nbclient runs them. The way from a notebook to Markdown is short enough to be ours: nbconvert would
bring a sanitiser, another Markdown reader and templates that fetch scripts from elsewhere.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from code_blocks import ROOT
from nbclient import NotebookClient

FOLDER = ROOT / "docs/notebooks"
# Ours: no cell takes a quarter of this on two cores.
SECONDS_A_CELL = 240


@dataclass(frozen=True)
class NotebookPage:
    """A notebook that has run.

    Attributes:
        text: Markdown.
        images: what its cells have drawn, by the names that the text has for them.
    """

    text: str
    images: dict[str, bytes]


def notebooks() -> list[Path]:
    """Return the notebooks."""
    return sorted(FOLDER.glob("*.ipynb"))


def run(path: Path) -> NotebookPage:
    """Run a notebook in an empty folder and return its page.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell has failed; the message has its code.
    """
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(
            notebook,
            timeout=SECONDS_A_CELL,
            resources=resources,
            extra_arguments=["--log-level=ERROR"],  # its advice on networks is for servers
        )
        client.execute()
    parts: list[str] = []
    images: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code":
            parts.append(f"```python\n{cell.source}\n```")
            parts += [_shown(output, path.stem, images) for output in _joined(cell.outputs)]
    here = f"*A notebook, run when the site was built: `docs/notebooks/{path.name}`.*"
    return NotebookPage("\n\n".join([*parts[:1], here, *parts[1:]]) + "\n", images)


def _joined(outputs: Sequence[Any]) -> list[Any]:
    """Return outputs with the pieces of a stream, as they happened to come, put together."""
    found: list[Any] = []
    for output in outputs:
        last = found[-1] if found else None
        if last is not None and output.output_type == last.output_type == "stream":
            last.text += output.text
        else:
            found.append(output)
    return found


def _shown(output: Any, stem: str, images: dict[str, bytes]) -> str:
    """Return what a cell gives as Markdown; what it draws goes to ``images``."""
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```"
    if "image/png" in output.data:
        name = f"{stem}-{len(images) + 1}.png"
        images[name] = base64.b64decode(output.data["image/png"])
        return f"![What the code above draws]({name})"
    if "text/html" in output.data:
        return f'<div class="output">\n{output.data["text/html"]}\n</div>'
    return f"```text\n{output.data['text/plain']}\n```"
