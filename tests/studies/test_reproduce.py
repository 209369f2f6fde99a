"""``spectra reproduce``: the descriptions, and small sizes from end to end."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from checkpoints import get_recipe
from checkpoints.choices import SIZES
from checkpoints.studies.reproduction import (
    load_reproduction,
    reproduction_data,
    run_reproduction,
    study_names,
)
from checkpoints.studies.reproduction.table import beside_published
from cli.main import cli
from spectra import InputError
from spectra.results.reproduction_result import NOT_RUN, AccuracyRun, ComparedValue

NAMES = (
    "cifar10-lt-table", "cifar100-lt-table", "densities", "imagenet-lt-table",
    "inaturalist18-table", "optimizers", "protocols", "rho-ablation", "theorem", "trajectories",
)  # fmt: skip
PHOTOS = ("imagenet-lt-table", "inaturalist18-table")


def invoke(*arguments: object):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def test_there_are_the_promised_studies():
    assert tuple(study_names()) == NAMES


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_every_size_has_recipes_that_exist_and_fields_that_fit(name, size):
    study = load_reproduction(name, size)
    family = study.data
    for recipe in study.settings.recipes:
        get_recipe(recipe, family).with_overrides({"epochs": study.settings.epochs})


@pytest.mark.parametrize("name", NAMES)
def test_the_full_size_has_a_recipe_for_every_published_row(name):
    study = load_reproduction(name, "full")
    recipes = set(study.settings.recipes)
    assert {row.split(" ")[0] for row in study.published} <= recipes


@pytest.mark.parametrize("name", NAMES)
def test_the_full_size_is_the_papers_setting(name):
    settings = load_reproduction(name, "full").settings
    setting = ("resnet50", 90) if name in PHOTOS else ("resnet32", 200)
    assert (settings.arch, settings.epochs) == setting


@pytest.mark.parametrize("name", NAMES)
def test_a_shortened_size_says_that_it_is(name):
    assert "not fitted" in str(load_reproduction(name, "cpu").settings.note)


def test_larger_sizes_need_cifar(monkeypatch):
    monkeypatch.delenv("SPECTRA_DATA", raising=False)
    with pytest.raises(InputError, match="cpu needs cifar10: give --data or set SPECTRA_DATA"):
        reproduction_data(load_reproduction("densities", "cpu"), None)


def test_photographs_are_asked_for_by_their_place(monkeypatch, tmp_path):
    monkeypatch.setenv("SPECTRA_DATA", str(tmp_path))
    with pytest.raises(InputError, match="full needs imagenet-lt: give --data imagenet-lt:FOLDER"):
        reproduction_data(load_reproduction("imagenet-lt-table", "full"), None)


def test_photographs_are_long_tailed_as_they_are():
    study = load_reproduction("inaturalist18-table", "full")
    assert reproduction_data(study, "inaturalist18:there").profile is None


@pytest.mark.parametrize(
    ("name", "row", "published"),
    [
        ("imagenet-lt-table", "ldam-drw-sam", [53.1, 62.0, 52.1, 34.8]),
        ("inaturalist18-table", "ce-drw-sam", [65.3, 60.5, 66.2, 65.5]),
    ],
)
def test_published_rows_are_printed_without_running_anything(name, row, published):
    found = json.loads(invoke("reproduce", name, "--published", "--json").stdout)
    rows = {one["row"]: one for one in found["rows"]}
    assert len(rows) == 5
    assert {one["state"] for one in rows.values()} == {NOT_RUN}
    values = rows[row]["values"]
    assert [values[key]["published"] for key in ("overall", "head", "mid", "tail")] == published
    shown = invoke("reproduce", name, "--published").stdout
    assert shown.count(NOT_RUN) == 20


def test_ours_stand_beside_the_published_with_the_difference():
    study = load_reproduction("cifar10-lt-table", "smoke")
    measured = [
        AccuracyRun("ce", seed, overall=value, head=1.0, mid=1.0, tail=1.0, best_on_test=value)
        for seed, value in enumerate([70.0, 72.0, 74.0])
    ]
    rows = {row.row: row for row in beside_published(study.published, measured)}
    assert rows["ce"].values["overall"] == ComparedValue(
        ours=72.0, ours_sd=2.0, seeds=3, published=71.7, published_sd=0.1,
        difference=pytest.approx(0.3),
    )  # fmt: skip
    assert rows["vs-sam"].state == NOT_RUN
    assert rows["vs-sam"].values["overall"].ours is None


@pytest.fixture(scope="module")
def table_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPECTRA_DATA", raising=False)
        result = invoke("reproduce", "cifar10-lt-table", "--size", "smoke", "-o", folder)
    assert result.exit_code == 0, result.output
    assert "data: digits" in result.output
    return folder


def test_a_smoke_run_without_cifar_is_marked_as_digits(table_folder):
    plain = json.loads((table_folder / "result.json").read_text())
    assert plain["data"] == "digits"
    assert plain["size"] == "smoke"
    assert (table_folder / "cifar10-lt-table.png").exists()


def test_a_repeated_call_trains_nothing_and_writes_the_same(table_folder, monkeypatch):
    monkeypatch.delenv("SPECTRA_DATA", raising=False)
    before = (table_folder / "result.json").read_bytes()
    trained = []
    run_reproduction(
        load_reproduction("cifar10-lt-table", "smoke"),
        table_folder,
        on_progress=lambda what, i, n: trained.append(what),
    )
    assert trained == []
    assert (table_folder / "result.json").read_bytes() == before


def test_a_study_that_is_stopped_leaves_its_finished_rows_and_says_not_run_of_the_others(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("SPECTRA_DATA", raising=False)

    def stop_in_the_second_network(what: str, done: int, planned: int) -> None:
        if what.startswith("ce-drw"):
            raise KeyboardInterrupt

    study = load_reproduction("cifar10-lt-table", "smoke")
    with pytest.raises(KeyboardInterrupt):
        run_reproduction(study, tmp_path, on_progress=stop_in_the_second_network)
    rows = json.loads((tmp_path / "result.json").read_text())["rows"]
    states = {row["row"]: row["state"] for row in rows}
    assert (states["ce"], states["ce-drw"]) == ("run", NOT_RUN)


def test_a_folder_of_another_study_is_refused(table_folder):
    with pytest.raises(InputError, match="holds another study"):
        run_reproduction(load_reproduction("optimizers", "smoke"), table_folder)


def check(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    monkeypatch.delenv("SPECTRA_DATA", raising=False)
    result = invoke("reproduce", name, "--size", "smoke", "-o", folder)
    assert result.exit_code == 0, result.output
    assert list(folder.glob("*.png"))
    return json.loads((folder / "result.json").read_text())["rows"]


def test_spectra_are_compared_by_protocol(tmp_path, monkeypatch):
    rows = check("densities", tmp_path, monkeypatch)
    mine = [row for row in rows if row["row"] == "ce-drw class 8"]
    assert [row["protocol"] for row in mine] == ["plain", "fresh/pyhessian"]
    for row in mine:
        value = row["values"]["lambda_max"]
        assert value["published"] == 23.11
        assert value["difference"] == pytest.approx(value["ours"] - 23.11)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"cifar10-lt-table", "densities"}))
def test_every_smoke_study_runs(name, tmp_path, monkeypatch):
    assert check(name, tmp_path, monkeypatch)
