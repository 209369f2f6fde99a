"""``spectra cite``: of results, of runs that were trained alone, and of what is neither."""

import bibtexparser
import pytest
from command_line import invoke, refused
from drawn_results import analysis, record_of


def cited(text: str) -> set[str]:
    read = bibtexparser.parse_string(text)
    assert read.failed_blocks == []
    return {entry.key for entry in read.entries}


@pytest.fixture
def result(tmp_path):
    path = tmp_path / "mine" / "analysis.json"
    path.parent.mkdir()
    analysis(record_of(None)).save(path)
    return path


def test_a_checkpoint_is_cited_for_its_training():
    found = invoke("cite", "bundled:digits/ce-drw-sam")
    assert found.exit_code == 0, found.output
    assert cited(found.stdout) == {
        "spectra", "rangwani2022escaping", "foret2021sharpness", "cui2019classbalanced",
        "cao2019ldam", "alpaydin1998digits",
    }  # fmt: skip
    assert "% optimizer sam\n@inproceedings{foret2021sharpness," in found.stdout


def test_results_and_their_folder_are_cited_for_how_they_were_found(result):
    of_file, of_folder = invoke("cite", result), invoke("cite", result.parent)
    assert cited(of_file.stdout) == {"spectra", "rangwani2022escaping", "golub2013matrix"}
    assert of_folder.stdout == of_file.stdout


def test_several_runs_give_one_file(result, tmp_path):
    bib = tmp_path / "methods.bib"
    done = invoke("cite", result, "bundled:digits/vs", "-o", bib)
    assert done.stdout.splitlines() == ["5 entries", f"  {bib}"]
    assert {"kini2021vs", "golub2013matrix"} <= cited(bib.read_text("utf-8"))


def test_what_is_not_there_is_refused(tmp_path):
    assert "there is no" in refused("cite", tmp_path / "nothing")
