"""The bench's command: its tables, its JSON, and what it refuses."""

import functools
import json

import pytest
from bench_parts import EVERYBODY, ScaledByOnePercent
from click.testing import CliRunner

from cli.bench.comparison import compare
from cli.bench.comparison.product_table import compare_products
from cli.bench.comparison.request import ComparisonRequest
from cli.main import cli
from spectra import InputError

CHECKPOINT = "bundled:digits/ce-drw"
# 32 images: not all of fewer are far enough from fitted for float32 products (see ALLOWED_ERROR).
TINY = ["--images", 32, "--images-per-class", 4, "--classes", "9", "--rounds", 1]


def bench(*arguments: object):
    return CliRunner().invoke(cli, ["bench", *[str(a) for a in arguments]])


def test_the_protocol_is_not_counted_on_larger_classes_than_asked():
    result = bench(CHECKPOINT, "--what", "extremes", *TINY, "--protocol-images", "1", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert all(c["protocol"] is None for c in found["classes"])
    assert "reference" not in {row["protocol"] for row in found["jobs"]}


def test_json_has_the_promised_keys(tmp_path):
    result = bench(
        CHECKPOINT, "--what", "products,extremes,density", *TINY, "--json",
        "--reference-file", tmp_path / "r.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    products = {"peer", "mode", "min_ms", "median_ms", "ratio", "rel_error"}
    assert all(products <= set(row) for row in found["products"])
    jobs = {
        "job", "peer", "mode", "seconds", "image_products", "ratio_seconds", "ratio_products",
        "max_error",
    }  # fmt: skip
    assert all(jobs <= set(row) for row in found["jobs"])
    assert {row["job"] for row in found["jobs"]} == {"extremes", "density"}
    assert {"cpu", "threads", "torch", "versions"} <= set(found["machine"])
    assert found["conv_peak_fraction"] > 0


def test_trajectory_sums_over_the_checkpoints_of_a_run():
    result = bench("bundled:digits/vs", "--what", "trajectory", *TINY, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert len(found["classes"]) == 4
    asked = sum(c["image_products"] for c in found["classes"])
    assert found["jobs"][0]["image_products"] == pytest.approx(asked)


def test_tables_show_every_installed_peer():
    result = bench(CHECKPOINT, "--what", "extremes", *TINY)
    assert result.exit_code == 0, result.output
    assert all(kind.name[:12] in result.stdout for kind in EVERYBODY if kind.installed())


def test_a_wrong_peer_ends_the_command_with_an_error(monkeypatch):
    monkeypatch.setattr(
        compare, "compare_products", functools.partial(compare_products, peers=[ScaledByOnePercent])
    )
    result = bench(CHECKPOINT, *TINY)
    assert result.exit_code == 2
    assert "scaled one" in result.stderr
    assert "WRONG" in result.stdout


def test_a_job_without_a_checkpoint_is_a_users_mistake():
    result = bench("--what", "extremes")
    assert result.exit_code == 2
    assert "need a checkpoint" in result.stderr


def test_without_flags_the_command_asks_for_what_a_request_asks_for_by_itself(monkeypatch):
    asked = []

    def stop(request, **rest):
        asked.append(request)
        raise InputError("enough")

    monkeypatch.setattr(compare, "run_comparison", stop)
    assert bench("--device", "cpu").exit_code == 2
    assert asked == [ComparisonRequest()]
