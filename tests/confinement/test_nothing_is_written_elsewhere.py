"""Names in a stranger's files, and links in a stranger's folders, do not choose what is written."""

from dataclasses import replace
from pathlib import Path

import pytest
from command_line import invoke, refused
from drawn_results import analysis, record_of

from checkpoints.studies.pipeline import run_study
from checkpoints.studies.study import load_study
from figures import draw_study
from spectra import save_analysis
from spectra.errors import InputError
from spectra.results.study_result import StudyResult, load_study_result, save_study_result
from spectra.system.files.lock import locked
from spectra.system.files.places import writing_under

HOSTILE = ["../../../README.md", "/abs/evil", "..", "a\0b", "-o", "x" * 300, "a\nb", "\ud800"]
STUDY = """
name = "../../x"
[data]
n_max = 10
imbalance_factor = 0.5
[train]
recipes = ["{recipe}"]
epochs = 1
[analyze]
classes = "0"
num_probes = 0
max_steps = 4
proof = false
"""


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """A folder in a folder that stays as it is; what is given lies in ``given``."""
    folder, given = tmp_path / "deep" / "er" / "out", tmp_path / "given"
    folder.mkdir(parents=True)
    given.mkdir()
    monkeypatch.chdir(folder.parent)

    def outside():
        found = tmp_path.rglob("*")
        return {p for p in found if not p.is_relative_to(folder) and p.parent != given}

    before = outside()
    yield folder
    assert outside() == before
    assert not Path("/abs").exists()


def study_of(*recipes, split="train"):
    records = [
        record_of(None, label, accuracy=0.5, classes=(c,))
        for c, label in enumerate(("head", "mid", "tail"))
    ]
    found = analysis(*records, split=split)
    each = tuple(
        replace(
            found,
            checkpoint=replace(found.checkpoint, recipe=recipe, class_counts=(50, 20, 5)),
        )
        for recipe in recipes
    )
    return StudyResult("small", each, each)


def test_recipes_of_any_name_are_drawn_into_the_folder(inside):
    written = draw_study(study_of(*HOSTILE), inside, density_classes=(), formats=("svg",))
    assert all(path.resolve().is_relative_to(inside) and path.is_file() for path in written)
    assert len(set(written)) == len(written) > len(HOSTILE)


@pytest.mark.parametrize("split", ["../../../evil", "/abs/evil"])
def test_a_split_of_any_name_is_drawn_into_the_folder(split, inside):
    written = draw_study(study_of("ce", split=split), inside, density_classes=(), formats=("svg",))
    assert all(path.resolve().is_relative_to(inside) for path in written)


def test_a_study_of_any_names_stays_in_its_folder(tmp_path, inside):
    recipe = tmp_path / "given" / "evil.toml"
    recipe.write_text('base = "ce"\nname = "../../../y"\n')
    (tmp_path / "given" / "study.toml").write_text(STUDY.format(recipe=recipe))
    study = load_study(tmp_path / "given" / "study.toml")
    result = run_study(study, inside)
    draw_study(result, inside, groups=study.groups_in(result), density_classes=(), formats=("svg",))
    assert load_study_result(inside / "results.json").recipes == ["../../../y"]
    assert len(list((inside / "training").iterdir())) == 1


@pytest.mark.parametrize("link", ["figures", "recipes.md", "figures/recipes.svg"])
def test_a_link_in_the_folder_is_not_written_through(link, tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.mkdir()
    folder = tmp_path / "out"
    save_study_result(folder / "results.json", study_of("ce"))
    (folder / link).parent.mkdir(exist_ok=True)
    (folder / link).symlink_to(victim / "new" if "." in link else victim)
    (tmp_path / "study.toml").write_text("[figures]\ndensity_classes = []\n")
    told = refused(
        "plot", folder, "--study", tmp_path / "study.toml", "--format", "svg", "-o", folder
    )
    assert f"{Path(link).parts[0] if link == 'figures' else link} is a link" in told
    assert list(victim.iterdir()) == []


def test_a_folder_that_is_a_link_is_not_locked_below_the_root(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "training").symlink_to(tmp_path / "victim")
    with (
        writing_under(tmp_path / "out"),
        pytest.raises(InputError, match="training is a link"),
        locked(tmp_path / "out" / "training" / "ce-seed0"),
    ):
        pass
    assert list((tmp_path / "victim").iterdir()) == []


def test_results_of_one_name_are_drawn_beside_each_other(tmp_path, spectrum):
    for run in ("a", "b"):
        save_analysis(tmp_path / run / "analysis.json", analysis(record_of(spectrum)))
    found = invoke("plot", tmp_path / "a", tmp_path / "b", "--format", "svg", "-o", tmp_path / "o")
    assert found.exit_code == 0
    drawn = {path.parent.name for path in (tmp_path / "o").rglob("*.svg")}
    assert drawn == {"a-analysis", "b-analysis"}
    again = tmp_path / "c" / "a"
    save_analysis(again / "analysis.json", analysis(record_of(spectrum)))
    assert "two of the results have one name" in refused("plot", tmp_path / "a", again)


def test_a_recipe_that_is_called_as_a_picture_is_drawn_in_every_format(inside):
    written = draw_study(study_of("x.png"), inside, density_classes=(), formats=("svg", "pdf"))
    assert {path.suffix for path in written if "x.png" in path.name} == {".svg", ".pdf"}
