"""What a result is to cite, and that it is BibTeX."""

import re
from dataclasses import replace
from pathlib import Path

import bibtexparser
import pytest
import yaml
from drawn_results import analysis, record_of

from checkpoints.recipes.recipe import LOSSES, OPTIMIZERS, WEIGHTINGS
from spectra import SolverSettings, Spectrum, load_analysis
from spectra.krylov.tridiagonal import Tridiagonal
from spectra.results.citations.cited import (
    citations,
    citations_of_training,
    to_bibtex,
    trained_by,
)
from spectra.results.citations.papers import PAPERS
from spectra.results.provenance import CheckpointIdentity

ROOT = Path(__file__).parents[3]
NEEDED = {
    "article": {"author", "title", "journal", "year", "volume", "pages"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "book": {"author", "title", "publisher", "year"},
    "techreport": {"author", "title", "institution", "year"},
    "misc": {"author", "title", "howpublished", "year"},
}


def keys(cited) -> set[str]:
    return {citation.reference.key for citation in cited}


def of_recipe(**fields) -> set[str]:
    return {key for key, _ in trained_by(CheckpointIdentity("net", recipe_fields=fields))}


def test_every_publication_is_an_entry_with_all_that_its_kind_needs():
    text = "\n\n".join(reference.bibtex() for reference in PAPERS.values())
    read = bibtexparser.parse_string(text)
    assert read.failed_blocks == []
    assert {entry.key for entry in read.entries} == set(PAPERS)
    for entry in read.entries:
        assert NEEDED[entry.entry_type] <= set(entry.fields_dict), entry.key
        year = entry.fields_dict["year"].value
        assert year in entry.key
        assert text.isascii()


def test_the_authors_of_every_entry_are_names_that_bibtex_takes_apart():
    for reference in PAPERS.values():
        for name in reference.fields["author"].split(" and "):
            assert re.fullmatch(r"[^,]+, [^,]+", name), name


def test_every_part_of_a_recipe_but_the_plain_ones_is_cited():
    plain = {"sgd", "ce", "none", "resample"}
    for part, words in (("optimizer", OPTIMIZERS), ("loss", LOSSES), ("weighting", WEIGHTINGS)):
        for word in words:
            assert bool(of_recipe(**{part: word})) == (word not in plain), word


def test_a_run_cites_its_own_methods_alone():
    assert of_recipe(loss="vs", optimizer="sam", weighting="none") == {
        "kini2021vs", "foret2021sharpness",
    }  # fmt: skip
    assert of_recipe(loss="ldam", optimizer="pgd", weighting="drw") == {
        "cao2019ldam", "jin2017escape", "cui2019classbalanced",
    }  # fmt: skip


def test_data_and_networks_are_cited_where_they_are_known():
    known = CheckpointIdentity("net", data={"source": "cifar10"}, architecture={"name": "resnet32"})
    assert {key for key, _ in trained_by(known)} == {"krizhevsky2009cifar", "he2016resnet"}
    digits = CheckpointIdentity(
        "net", data={"source": "digits"}, architecture={"name": "digits-resnet"}
    )
    assert {key for key, _ in trained_by(digits)} == {"alpaydin1998digits"}


def test_extremes_alone_cite_no_density_and_a_density_does():
    record = replace(record_of(None), products="tangent", active_images=50)
    alone = keys(citations([analysis(record)]))
    assert "pearlmutter1994fast" in alone
    assert "golub2013matrix" in alone
    assert alone.isdisjoint({"ubaru2017fast", "ghorbani2019investigation", "sleijpen1996jacobi"})
    tridiagonal = Tridiagonal([1.0], [], 0.0, closed=True)
    density = Spectrum((tridiagonal,), 1, "normal")
    dense = keys(citations([analysis(replace(record, spectrum=density))]))
    assert dense - alone == {
        "ubaru2017fast", "ghorbani2019investigation", "hutchinson1990stochastic", "chen2023krylov",
    }  # fmt: skip
    some = keys(citations([analysis(replace(record, active_images=10))]))
    assert some - alone == {"sleijpen1996jacobi"}


def test_the_engine_pyhessian_is_cited_in_place_of_ours():
    solver = SolverSettings(engine="pyhessian")
    found = keys(citations([analysis(record_of(None), solver=solver)]))
    assert "yao2020pyhessian" in found
    assert "golub2013matrix" not in found


def test_several_results_have_one_entry_of_each_publication_with_all_its_reasons():
    runs = [
        replace(a, checkpoint=replace(a.checkpoint, recipe_fields={"loss": loss, "weighting": w}))
        for a, loss, w in (
            (analysis(record_of(None)), "ldam", "none"),
            (analysis(record_of(None)), "ce", "drw"),
        )
    ]
    cited = citations(runs)
    assert len(keys(cited)) == len(cited)
    cao = next(c for c in cited if c.reference.key == "cao2019ldam")
    assert cao.reasons == ("training loss ldam", "class weights drw")


def test_the_software_is_cited_first_as_its_citation_file_says():
    own = citations([])[0].reference
    stated = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert own.fields["title"].replace("{", "").replace("}", "") == stated["title"]
    assert own.fields["author"] == f"{{{stated['authors'][0]['name']}}}"
    from_cff = stated["references"][0]
    paper = PAPERS["rangwani2022escaping"].fields
    assert paper["title"] == from_cff["title"]
    assert paper["author"] == " and ".join(
        f"{who['family-names']}, {who['given-names']}" for who in from_cff["authors"]
    )


def test_a_stored_result_gives_a_bib_file_with_reasons_beside_its_entries():
    stored = sorted((ROOT / "docs" / "study").rglob("*.json"))
    path = next(p for p in stored if '"spectra.analysis"' in p.read_text("utf-8")[:200])
    text = to_bibtex(citations([load_analysis(path)]))
    read = bibtexparser.parse_string(text)
    assert read.failed_blocks == []
    assert [entry.key for entry in read.entries][:2] == ["spectra", "rangwani2022escaping"]
    assert "% the software\n@misc{spectra," in text


@pytest.mark.parametrize("version", ["1.0}, url={x", "", None])
def test_a_version_from_a_file_closes_no_entry(version):
    text = to_bibtex(citations_of_training(CheckpointIdentity("net"), version))
    assert "url" not in text
    assert bibtexparser.parse_string(text).failed_blocks == []
