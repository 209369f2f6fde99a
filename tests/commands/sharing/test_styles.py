"""``--format``: what an analysis prints for people and for other programs."""

import csv
import io
import json

import pytest
from command_line import SMALL, invoke


@pytest.fixture
def printed(analysis_folder, run_folder):
    def asked(*style):
        return invoke(
            "analyze", run_folder, "--classes", "9,tail", "-o", analysis_folder, *SMALL, *style
        )

    return asked


def test_markdown_is_a_table_with_its_legend_and_paths_are_elsewhere(printed):
    done = printed("--format", "md")
    assert done.exit_code == 0, done.output
    title, table, legend = done.stdout.strip().split("\n\n")
    assert title.startswith("**")
    assert [line.split(" | ")[0] for line in table.splitlines()] == [
        "| class", "| ---", "| 9", "| tail",
    ]  # fmt: skip
    assert "- n: images that are analyzed" in legend
    assert "written" not in done.stdout
    assert "analysis.json" in done.stderr


def test_csv_is_the_table_of_the_file(printed, analysis_folder):
    done = printed("--format", "csv")
    assert done.stdout == (analysis_folder / "table.csv").read_text("utf-8")
    assert [row["class"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["9", "tail"]


def test_json_has_two_names(printed):
    one, other = printed("--json"), printed("--format", "json")
    assert one.stdout == other.stdout
    assert [row["class"] for row in json.loads(one.stdout)["classes"]] == [9, "tail"]


def test_a_trajectory_in_csv_has_a_line_for_each_epoch_and_class(run_folder, tmp_path):
    options = ["--classes", "9", "--max-steps", "3", "-o", tmp_path / "along", "--format", "csv"]
    done = invoke("trajectory", run_folder, *options)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["class"] for row in rows} == {"9"}
    assert [row["epoch"] for row in rows] == sorted({row["epoch"] for row in rows}, key=int)
