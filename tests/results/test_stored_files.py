"""Files of every format, read and written again: the same bytes."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from spectra import SolverSettings, load_analysis, save_analysis
from spectra.results.directions.theorem_result import load_theorem, save_theorem
from spectra.results.plain import to_plain
from spectra.results.protocol_rows import ProtocolRow, protocol_rows
from spectra.results.provenance import AnalysisProtocol, CheckpointIdentity
from spectra.results.study_result import StudyResult, load_study_result, save_study_result

STORED = Path(__file__).parents[2] / "docs" / "study"
# The folders hold results of other commands too.
ANALYSES = sorted(
    path
    for path in STORED.rglob("*.json")
    if '"spectra.analysis"' in path.read_text(encoding="utf-8")[:100]
)
ONE = STORED / "ce-drw-0060" / "plain.json"


# What is worked out of a run's α and β when a file is read: the same to the last bit on a processor
# like the one that wrote it, and to rounding on one whose linear algebra sums in another order.
WORKED_OUT = {
    "nodes", "weights", "node_min", "node_max", "trace", "trace_error", "negative_mass",
    "negative_mass_low", "negative_mass_high", "below_tau", "below_tau_low", "below_tau_high",
}  # fmt: skip


@pytest.mark.parametrize("folder", sorted({path.parent for path in ANALYSES}), ids=lambda p: p.name)
def test_every_stored_result_is_written_again_with_its_bytes(folder, tmp_path):
    for path in ANALYSES:
        if path.parent == folder:
            save_analysis(tmp_path / "again.json", load_analysis(path))
            (again, found), (stored, wanted) = map(worked_out, (tmp_path / "again.json", path))
            assert again == stored
            for values, those in zip(found, wanted, strict=True):
                assert values == pytest.approx(those, rel=0, abs=1e-11 * np.abs(those).max())


def worked_out(path: Path) -> tuple[str, list[npt.NDArray[np.float64]]]:
    """Return a file without what is worked out, compactly, and the numbers that are."""
    numbers = []

    def without(pairs: list[tuple[str, object]]) -> dict[str, object]:
        taken = {name: value for name, value in pairs if name in WORKED_OUT and value is not None}
        numbers.extend(np.atleast_1d(value) for value in taken.values())
        return {name: "worked out" if name in taken else value for name, value in pairs}

    text = path.read_text(encoding="utf-8")
    return json.dumps(json.loads(text, object_pairs_hook=without)), numbers


def test_the_stored_theorem_is_written_again_with_its_bytes(tmp_path):
    path = STORED / "theorem" / "theorem.json"
    save_theorem(tmp_path / "again.json", load_theorem(path))
    assert compact(tmp_path / "again.json") == compact(path)


def compact(path: Path) -> str:
    """Return a file without line breaks and indentation, which the study's files do without."""
    return json.dumps(json.loads(path.read_text(encoding="utf-8")))


def test_a_study_is_written_again_with_its_bytes(tmp_path):
    analyses = tuple(load_analysis(path) for path in ANALYSES[:3])
    result = StudyResult("three", analyses, analyses[:1], {"torch": "1.2.3"})
    for name in ("first.json", "again.json"):
        save_study_result(tmp_path / name, result)
        result = load_study_result(tmp_path / name)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "first.json").read_bytes()
    assert (result.name, result.versions) == ("three", {"torch": "1.2.3"})
    assert [a.checkpoint for a in result.analyses] == [a.checkpoint for a in analyses]


def test_a_file_of_schema_1_reads_as_one_without_certificates(tmp_path):
    plain = json.loads(ONE.read_text(encoding="utf-8"))
    plain["schema"] = 1
    for record in plain["records"]:
        for key in (
            "certificates", "density_bound", "noise", "bootstrap", "products", "image_products",
            "active_images", "start", "overlap_min", "overlap_max", "proven",
            "lambda_min_at_most", "lambda_min_at_least", "lambda_max_at_least",
            "lambda_max_at_most", "negative_mass_low", "negative_mass_high",
        ):  # fmt: skip
            del record[key]
    (tmp_path / "old.json").write_text(json.dumps(plain), encoding="utf-8")
    old, new = load_analysis(tmp_path / "old.json").records[0], load_analysis(ONE).records[0]
    assert old.certificates is None
    assert (old.lambda_min, old.verdict, old.start) == (new.lambda_min, new.verdict, "cold")


def test_what_is_not_stated_is_null_or_left_out():
    identity, protocol = to_plain(CheckpointIdentity("net")), to_plain(AnalysisProtocol())
    assert identity == dict.fromkeys(identity) | {"name": "net", "class_counts": [], "notes": []}
    assert set(protocol.values()) == {None}
    assert "warm_from" not in identity
    assert not {"tuning", "accuracy"} & set(protocol)


@pytest.mark.parametrize("before", [None, "epoch-0010"])
def test_a_warm_start_is_part_of_what_a_result_is_of(before, tmp_path):
    analysis = load_analysis(ONE)
    warm = replace(analysis, checkpoint=replace(analysis.checkpoint, warm_from=before))
    save_analysis(tmp_path / "warm.json", warm)
    plain = json.loads((tmp_path / "warm.json").read_text(encoding="utf-8"))
    assert list(plain["checkpoint"])[-1] == "warm_from"
    assert load_analysis(tmp_path / "warm.json").checkpoint == warm.checkpoint
    assert warm.checkpoint != analysis.checkpoint


def test_tuning_and_recorded_accuracies_are_written_where_they_are_set(tmp_path):
    analysis = load_analysis(ONE)
    protocol = replace(analysis.protocol, tuning="tf32", accuracy="as recorded")
    save_analysis(tmp_path / "set.json", replace(analysis, protocol=protocol))
    plain = json.loads((tmp_path / "set.json").read_text(encoding="utf-8"))
    assert (plain["protocol"]["tuning"], plain["protocol"]["accuracy"]) == ("tf32", "as recorded")
    assert load_analysis(tmp_path / "set.json").protocol == protocol


def test_the_solver_of_a_file_is_the_settings_that_made_it():
    solver = load_analysis(ONE).protocol.solver
    assert isinstance(solver, SolverSettings)
    assert solver.engine == "spectra"


def test_the_key_class_is_a_number_in_rows_of_protocols_as_in_results():
    rows = to_plain(protocol_rows({"plain": load_analysis(ONE)}))
    assert {type(row["class"]) for row in rows} == {int}
    assert list(rows[0]) == ["class", *(f.name for f in fields(ProtocolRow)[1:])]
    record = json.loads(ONE.read_text(encoding="utf-8"))["records"][0]
    assert rows[0]["class"] == record["class"]
