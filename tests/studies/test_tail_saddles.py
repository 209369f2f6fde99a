"""The study's figures and tables come from its stored results, and the document says the same."""

import shutil
from pathlib import Path

import pytest
from drawing import draw_study_of_tail_saddles
from stored import Network, rows_of, stored_results

DOCS = Path(__file__).parents[2] / "docs"
STORED = DOCS / "study"


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(STORED, folder / "study")
    for table in (folder / "study").glob("*.md"):
        table.unlink()
    draw_study_of_tail_saddles(folder / "study", folder / "images")
    return folder


def test_the_stored_results_give_the_committed_tables_and_every_figure(redrawn):
    tables = sorted(path.name for path in STORED.glob("*.md"))
    assert tables == sorted(path.name for path in (redrawn / "study").glob("*.md"))
    for name in tables:
        assert (redrawn / "study" / name).read_bytes() == (STORED / name).read_bytes()
    figures = sorted(path.name for path in (DOCS / "images").glob("tail-saddles-*.png"))
    assert figures == sorted(path.name for path in (redrawn / "images").iterdir())


@pytest.mark.parametrize(
    "table", ["protocols-ce-drw", "protocols-ce-drw-longer", "class-8", "over-training"]
)
def test_the_document_holds_the_tables_of_the_stored_results(table):
    document = (DOCS / "tail-saddles.md").read_text(encoding="utf-8")
    assert (STORED / f"{table}.md").read_text(encoding="utf-8") in document


def test_folders_name_the_network_its_seed_and_the_epoch(tmp_path):
    source = STORED / "ce-drw-seed1-0060" / "plain.json"
    for folder in ("ce-drw-seed12-0060", "ce-drw-0048-7", "control"):
        (tmp_path / folder).mkdir()
        shutil.copy(source, tmp_path / folder)
    found = stored_results(tmp_path)
    assert {network: list(epochs) for network, epochs in found.items()} == {
        Network("ce-drw"): [48],
        Network("ce-drw", 12): [60],
    }


def test_every_certified_extreme_of_the_study_has_converged():
    for epochs in stored_results(STORED).values():
        for by_protocol in epochs.values():
            for name, analyses in by_protocol.items():
                if "fresh" not in name and "pyhessian" not in name:
                    assert all(r.converged for a in analyses for r in a.records)
            assert rows_of(by_protocol)
