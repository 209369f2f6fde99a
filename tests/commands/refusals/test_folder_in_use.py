"""A folder that one process writes to is refused to another, by every command."""

import pytest
from command_line import invoke, refused

ANALYZED = ("bundled:digits/ce-drw", "--class", "8")
COMMANDS = {
    "train": ("train", "ce", "--epochs", "1"),
    "analyze": ("analyze", *ANALYZED),
    "compare": ("analyze", *ANALYZED, "--compare-protocols"),
    "trajectory": ("trajectory", "bundled:digits/ce-drw"),
    "images": ("images", *ANALYZED),
    "sam": ("sam", *ANALYZED),
    "theorem": ("theorem", *ANALYZED),
    "claim": ("claim", "papyan2020", "bundled:digits/ce-drw"),
    "recurrences": ("recurrences", *ANALYZED),
    "reproduce": ("reproduce", "optimizers"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_another_process_holds_is_refused_before_any_work(
    command, tmp_path, held_elsewhere
):
    with held_elsewhere(tmp_path):
        said = refused(*COMMANDS[command], "-o", tmp_path)
        assert "is in use by process" in said
    assert not list(tmp_path.iterdir())


def test_a_study_is_not_run_into_a_folder_that_another_process_holds(tmp_path, held_elsewhere):
    (tmp_path / "study.toml").write_text("[train]\nepochs = 1\n")
    out = tmp_path / "out"
    with held_elsewhere(out):
        assert "is in use by" in refused(
            "pipeline", tmp_path / "study.toml", "-o", tmp_path / "out"
        )


def test_a_command_lets_go_of_its_folder_and_leaves_none_that_it_did_not_fill(tmp_path):
    new = tmp_path / "made" / "new"
    for _ in range(2):
        assert "class 12" in refused("analyze", ANALYZED[0], "--class", "12", "-o", new)
    assert not list(tmp_path.iterdir())
    assert invoke("train", "ce", "--epochs", "1", "--n-max", "30", "-o", new).exit_code == 0
    assert not (new / ".lock").exists()
