import csv
import io
import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from oracles import dense_tridiagonal

from spectra import (
    Analysis,
    DenseOperator,
    InputError,
    LossAnalysis,
    SolverSettings,
    Spectrum,
    analyze_loss,
    class_hessian,
    load_analysis,
    save_analysis,
    slq,
    trace_interval,
)
from spectra.results.provenance import AnalysisProtocol, CheckpointIdentity
from spectra.results.reproduction_result import ReproductionResult, reproduction_to_plain
from spectra.results.tables import to_csv


def analyze(net, classes, label, **options) -> LossAnalysis:
    op = class_hessian(net.model, net.images, net.labels, classes)
    settings = SolverSettings(num_probes=2, num_steps=12, **options)
    wanted = (0, 1, 2) if classes is None else (classes,)
    return analyze_loss(op, label=label, classes=wanted, settings=settings)


def compute(net) -> Analysis:
    records = (
        analyze(net, 0, "0"),
        replace(analyze(net, 2, "2"), accuracy=0.1),
        analyze(net, None, "overall"),
        analyze(net, None, "peer", engine="pyhessian"),
    )
    return Analysis(
        checkpoint=CheckpointIdentity(name="tests/λ net", epoch=3),
        protocol=AnalysisProtocol(split="train", solver=SolverSettings()),
        records=records,
        versions={"torch": "1.2.3"},
    )


@pytest.fixture(scope="module")
def analysis(trained_nets) -> Analysis:
    return compute(trained_nets["smooth_mlp"])


@pytest.fixture
def path(analysis, tmp_path):
    save_analysis(tmp_path / "result.json", analysis)
    return tmp_path / "result.json"


def exact(value: object) -> object:
    """Return ``value`` with floats as their bits, so that == means equal to the last one."""
    if isinstance(value, Spectrum):
        return value.size, value.probe, [
            (t.alphas.tobytes(), t.betas.tobytes(), float(t.residual_beta).hex(), t.closed)
            for t in value.probes
        ]  # fmt: skip
    return value.hex() if isinstance(value, float) else value


def test_round_trip_is_exact(analysis, path):
    loaded = load_analysis(path)
    for key in ("checkpoint", "protocol", "versions"):
        assert getattr(loaded, key) == getattr(analysis, key)
    for after, before in zip(loaded.records, analysis.records, strict=True):
        for field in fields(LossAnalysis):
            if field.name == "extremes":  # vectors for warm starts, not part of a file
                continue
            a, b = getattr(after, field.name), getattr(before, field.name)
            assert exact(a) == exact(b), field.name
            assert type(a) is type(b), field.name


def test_a_path_may_be_text(path):
    assert load_analysis(str(path)).rows() == load_analysis(path).rows()


def test_saving_what_was_loaded_gives_the_same_bytes(path, tmp_path):
    save_analysis(tmp_path / "again.json", load_analysis(path))
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_equal_results_give_equal_bytes(trained_nets, path, tmp_path):
    save_analysis(tmp_path / "again.json", compute(trained_nets["smooth_mlp"]))
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_file_is_strict_json(path):
    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_peers_unknown_residual_is_null_in_the_file_and_nan_in_memory(path):
    record = json.loads(path.read_text(encoding="utf-8"))["records"][3]
    assert [t["residual_beta"] for t in record["spectrum"]["probes"]] == [None, None]
    probes = load_analysis(path).record("peer").spectrum.probes
    assert all(np.isnan(t.residual_beta) for t in probes)


def test_nodes_and_weights_in_the_file_are_those_of_its_alphas_and_betas(path):
    for record in json.loads(path.read_text(encoding="utf-8"))["records"]:
        for t in record["spectrum"]["probes"]:
            values, vectors = np.linalg.eigh(dense_tridiagonal(t["alphas"], t["betas"]))
            scale = np.abs(values).max()
            # Two eigensolvers: some ulp of ‖T‖ apart, and vectors by that over the gaps, > 1e-3.
            np.testing.assert_allclose(t["nodes"], values, rtol=0, atol=1e-14 * scale)
            np.testing.assert_allclose(t["weights"], vectors[0] ** 2, rtol=0, atol=1e-10)


def test_nodes_and_weights_in_the_file_are_those_of_the_loaded_spectrum(path):
    plain = json.loads(path.read_text(encoding="utf-8"))["records"]
    for record, loaded in zip(plain, load_analysis(path).records, strict=True):
        for t, probe in zip(record["spectrum"]["probes"], loaded.spectrum.probes, strict=True):
            assert t["nodes"] == probe.ritz_values().tolist()
            assert t["weights"] == probe.quadrature_weights().tolist()


def test_csv_has_a_header_and_one_row_for_each_record(analysis):
    rows = list(csv.reader(io.StringIO(to_csv(analysis.records))))
    assert rows[0] == list(analysis.rows()[0])
    assert [row[0] for row in rows[1:]] == ["0", "2", "overall", "peer"]
    assert {len(row) for row in rows} == {len(rows[0])}


def test_csv_floats_read_back_exactly(analysis):
    rows = csv.DictReader(io.StringIO(to_csv(analysis.records)))
    for row, record in zip(rows, analysis.records, strict=True):
        assert float(row["lambda_min"]) == record.lambda_min
        assert row["classes"] == " ".join(map(str, record.classes))


def test_csv_leaves_a_cell_empty_where_nothing_is_known(analysis):
    row = list(csv.DictReader(io.StringIO(to_csv(analysis.records))))[3]
    assert row["accuracy"] == ""


def test_row_agrees_with_the_record(analysis):
    row, record = analysis.rows()[1], analysis.records[1]
    assert row["class"] == 2
    assert row["accuracy"] == 0.1
    assert row["ratio"] == abs(record.lambda_min / record.lambda_max)
    assert row["trace"] == trace_interval(record.spectrum).estimate
    assert row["verdict"] == record.verdict.name
    assert row["critical_radius"] == record.verdict.critical_radius


def test_record_is_found_by_its_label(analysis):
    assert analysis.record("overall").n == 22
    with pytest.raises(KeyError, match="7"):
        analysis.record("7")


def test_no_records_round_trip(tmp_path):
    save_analysis(
        tmp_path / "empty.json", Analysis(CheckpointIdentity("none"), AnalysisProtocol(), ())
    )
    assert load_analysis(tmp_path / "empty.json").records == ()


def test_an_existing_file_is_replaced_and_no_temporary_one_left(analysis, path):
    save_analysis(path, replace(analysis, records=()))
    assert load_analysis(path).records == ()
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def test_a_failed_write_leaves_the_old_file(analysis, path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        save_analysis(path, replace(analysis, protocol=AnalysisProtocol(tau=float("nan"))))
    assert path.read_bytes() == before


def message_of(path) -> str:
    with pytest.raises(InputError) as caught:
        load_analysis(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"[1, 2]", b"null", b"3", b"{}", b'{"format": "other"}', b"\xff\xfe\x00"],
)
def test_foreign_files_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "foreign.json"
    path.write_bytes(content)
    message = message_of(path)
    assert "foreign.json" in message
    assert "\n" not in message


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused_in_one_line(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert "\n" not in message_of(path)


def test_a_missing_file_is_refused_in_one_line(tmp_path):
    assert "\n" not in message_of(tmp_path / "none.json")


def test_a_newer_schema_says_to_update(path):
    plain = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**plain, "schema": 99}), encoding="utf-8")
    assert "update hessian-spectra" in message_of(path)


def first_probe(plain):
    return plain["records"][0]["spectrum"]["probes"][0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p.pop("records"),
        lambda p: p.pop("checkpoint"),
        lambda p: p.update(records=None),
        lambda p: p.update(records={"0": 1}),
        lambda p: p.update(records=["0"]),
        lambda p: p.update(schema="1"),
        lambda p: p.update(schema=None),
        lambda p: p["records"][0].pop("lambda_min"),
        lambda p: p["records"][0].pop("spectrum"),
        lambda p: p["records"][0].update(verdict_detail={"name": "saddle"}),
        lambda p: p["records"][0].update(classes=None),
        lambda p: p["records"][0]["spectrum"].update(size="many"),
        lambda p: p["records"][0]["spectrum"].update(probes=[]),
        lambda p: first_probe(p).update(alphas=["a"]),
        lambda p: first_probe(p).update(alphas=None),
        lambda p: first_probe(p).update(alphas=[]),
        lambda p: first_probe(p)["alphas"].pop(),
        lambda p: first_probe(p)["betas"].append(0.5),
    ],
    ids=[
        "no records", "no checkpoint", "records null", "records an object", "record a string",
        "schema a string", "schema null", "no lambda_min", "no spectrum", "verdict incomplete",
        "classes null", "size a word", "no probes", "alphas a word", "alphas null",
        "alphas empty", "alpha missing", "beta too many",
    ],
)  # fmt: skip
def test_malformed_files_are_refused_in_one_line(path, spoil):
    plain = json.loads(path.read_text(encoding="utf-8"))
    spoil(plain)
    path.write_text(json.dumps(plain), encoding="utf-8")
    assert "\n" not in message_of(path)


def test_loading_draws_nothing_from_the_global_generator(path):
    before = torch.get_rng_state()
    load_analysis(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_deflated_density_is_read_as_it_was_written(analysis, tmp_path):
    matrix = DenseOperator(torch.diag(torch.linspace(-1, 3, 60).double() ** 3))
    spectrum = slq(matrix, num_steps=12, deflate=True)
    record = replace(analysis.records[0], spectrum=spectrum)
    save_analysis(tmp_path / "one.json", replace(analysis, records=(record,)))
    again = load_analysis(tmp_path / "one.json").records[0].spectrum
    assert len(spectrum.deflated.values) > 0
    assert again.deflated.values.tolist() == spectrum.deflated.values.tolist()
    assert again.nodes.tolist() == spectrum.nodes.tolist()


def test_a_reproduction_says_its_format_and_schema():
    result = ReproductionResult("theorem", "smoke", "digits", "Signs", None, "theirs", {}, (), ())
    plain = reproduction_to_plain(result)
    assert (plain["format"], plain["schema"]) == ("spectra.reproduction", 1)
