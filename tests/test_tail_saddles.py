"""The study's figures and tables come from its stored results, and the document says the same."""

import shutil
from pathlib import Path

import pytest

from cli.workflows.tail_saddles import (
    DOCS,
    PLAIN,
    draw_study_of_tail_saddles,
    rows_of,
    stored_results,
)

STORED = DOCS / "study"


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(STORED, folder / "study")
    for table in (folder / "study").glob("protocols-*.md"):
        table.unlink()
    draw_study_of_tail_saddles(folder / "study", folder / "images")
    return folder


def test_the_stored_results_give_the_committed_tables_and_every_figure(redrawn):
    tables = sorted(path.name for path in STORED.glob("protocols-*.md"))
    assert tables == sorted(path.name for path in (redrawn / "study").glob("protocols-*.md"))
    for name in tables:
        assert (redrawn / "study" / name).read_bytes() == (STORED / name).read_bytes()
    figures = sorted(path.name for path in (DOCS / "images").glob("tail-saddles-*.png"))
    assert figures == sorted(path.name for path in (redrawn / "images").iterdir())


def test_the_document_holds_the_table_of_the_stored_results():
    document = (DOCS / "tail-saddles.md").read_text(encoding="utf-8").splitlines()
    for line in (STORED / f"protocols-{PLAIN}.md").read_text(encoding="utf-8").splitlines()[2:]:
        assert line in document


def test_every_certified_extreme_of_the_study_has_converged():
    for epochs in stored_results(STORED).values():
        for by_protocol in epochs.values():
            for name, analyses in by_protocol.items():
                if "fresh" not in name and "pyhessian" not in name:
                    assert all(r.converged for a in analyses for r in a.records)
            assert rows_of(by_protocol)
