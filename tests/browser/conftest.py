"""A page as a reader sees it: written by ``write_report``, opened from disk in Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_results import analysis, record_of

from figures import write_report
from spectra import Analysis, DenseOperator, Spectrum, make_generator, slq

# Neither may lead to a request or a message; the rest needs no sandbox in a container.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)></script>"
LABELS = ("0", "1", "10", "head", "tail")
LOWS = {"0": -0.5, "1": -1.0, "10": -9.0, "head": -0.7, "tail": -9.0}


@dataclass
class Watched:
    """A page, and what it complained of or asked for."""

    page: Any
    file: Path
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def table(self, section: str) -> list[list[str]]:
        """The texts of the first lines of the cells of a table's body."""
        return self.page.eval_on_selector_all(
            f"{section} tbody tr",
            "rows => rows.map(r => [...r.cells].map(c => c.innerText.split('\\n')[0].trim()))",
        )

    def slide(self, label: str, key: str) -> str:
        """Press a key on a slider; return what it then says."""
        slider = self.page.get_by_role("slider", name=label)
        slider.press(key)
        self.settle()
        return slider.get_attribute("aria-valuetext")

    def settle(self) -> None:
        """Wait until what was chosen is drawn, which takes two frames."""
        self.page.evaluate("() => new Promise(d => requestAnimationFrame(() => setTimeout(d, 30)))")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install -e '.[browser]'"
    )
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("needs Chromium: install it, or name it with CHROMIUM=/path/to/chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def spectra_of() -> dict[str, Spectrum]:
    """A density for each label: a bulk, a few eigenvalues of their own, and the lowest of LOWS."""
    return {label: spectrum_from(low, seed) for seed, (label, low) in enumerate(LOWS.items())}


def spectrum_from(low: float, seed: int) -> Spectrum:
    eigenvalues = torch.randn(90, generator=make_generator(seed), dtype=torch.float64) * 0.05
    eigenvalues[:4] = torch.tensor([low, 2.0, 5.0, 30.0], dtype=torch.float64)
    op = DenseOperator(torch.diag(eigenvalues))
    return slq(op, num_probes=2, num_steps=20, probe="normal", generator=make_generator(9))


@pytest.fixture(scope="session")
def study(spectra_of) -> list[Analysis]:
    """Two recipes, one of a name that wants to be HTML, at two epochs and on both splits."""

    def one(recipe: str, epoch: int, split: str) -> Analysis:
        records = [
            record_of(
                spectra_of[label] if epoch == 200 else None,
                label,
                low=low * (200 / epoch if split == "train" else 1.5),
                high=30.0,
                n=100 - k,
                converged=label != "1",
                accuracy=0.9 - k / 10,
            )
            for k, (label, low) in enumerate(LOWS.items())
        ]
        found = analysis(*records, epoch=epoch, split=split)
        return replace(found, checkpoint=replace(found.checkpoint, name=recipe, recipe=recipe))

    recipes = ("ce-drw", HOSTILE)
    return [one(r, e, s) for r in recipes for e in (100, 200) for s in ("train", "test")]


@pytest.fixture(scope="session")
def report(study, tmp_path_factory) -> Path:
    return write_report(study, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def opened(browser, report) -> Iterator[Callable[..., Watched]]:
    """Opens the report at a width, in a theme, and watches what it does."""
    contexts = []

    def open_report(width: int = 1280, file: Path = report, **settings: Any) -> Watched:
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        watched = Watched(context.new_page(), file)
        page = watched.page
        page.on("console", lambda said: watched.complaints.append(said.text))
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.on("dialog", lambda dialog: watched.complaints.append(dialog.message))
        page.on("request", lambda request: watched.requests.append(request.url))
        page.goto(file.as_uri())
        if settings.get("java_script_enabled", True):
            watched.settle()
        return watched

    yield open_report
    for context in contexts:
        context.close()
