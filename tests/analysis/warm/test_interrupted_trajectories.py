"""A trajectory that goes on after whatever befell its folder ends in an undisturbed one's bytes.

Of three checkpoints each starts from the eigenvectors of the one before.
"""

import contextlib
import logging
import random
import re
import shutil
from pathlib import Path

import pytest
from tiny_trainings import digests, tiny_data, tiny_job

from checkpoints import AnalysisRequest
from checkpoints.analysis.trajectory import analyze_trajectory
from checkpoints.training.run import train_job
from spectra import InputError, SolverSettings

EPOCHS = (1, 3, 5)
LABELS = ("1", "2")
SOLVER = SolverSettings(num_probes=0, max_steps=6, proof=False, bending=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train_job(tiny_job(folder, keep_epochs=EPOCHS))
    return folder


def unnumbered(what: str) -> str:
    """Return what progress names, without which part of the whole it is."""
    return re.sub(r" \(\d+ of \d+\)", "", what)


def along(run: Path, folder: Path, stop_at: str | None = None, **options) -> None:
    def report(what: str, done: int, planned: int) -> None:
        if stop_at is not None and unnumbered(what).startswith(stop_at):
            raise KeyboardInterrupt

    request = AnalysisRequest(classes=",".join(LABELS), solver=SOLVER)
    analyze_trajectory(
        str(run), request, folder=folder, data=tiny_data(), on_progress=report, **options
    )


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "trajectory"
    along(run, folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "trajectory")


def test_an_undisturbed_trajectory_is_warm_and_leaves_no_vectors(whole):
    assert b'"warm_from": "epoch-0003"' in (whole / "epoch-0005.json").read_bytes()
    assert not (whole / "warm").exists()


@pytest.mark.parametrize(
    ("fault", "epoch"),
    [
        ("gone", 1),
        ("cut", 3),
        ("digit", 5),
        *(
            pytest.param(fault, epoch, marks=pytest.mark.slow)
            for fault in ("gone", "cut", "empty", "digit", "another epoch's")
            for epoch in EPOCHS
        ),
    ],
)
def test_a_unit_that_was_lost_or_damaged_is_made_again_warm_as_it_was(
    run, whole, copy, epoch, fault
):
    unit = copy / "units" / f"epoch-000{epoch}" / "2.json"
    content = unit.read_bytes()
    if fault == "gone":
        unit.unlink()
    elif fault == "another epoch's":
        other = EPOCHS[(EPOCHS.index(epoch) + 1) % 3]
        shutil.copy(copy / "units" / f"epoch-000{other}" / "2.json", unit)
    else:
        damaged = {"cut": content[:-7], "empty": b"", "digit": content.replace(b"1", b"2", 1)}
        unit.write_bytes(damaged[fault])
    along(run, copy)
    assert digests(copy) == digests(whole)


def test_what_is_finished_and_whole_is_not_made_again(run, copy):
    def forbidden(what: str, done: int, planned: int) -> None:
        raise AssertionError(what)

    request = AnalysisRequest(classes=",".join(LABELS), solver=SOLVER)
    analyze_trajectory(str(run), request, folder=copy, data=tiny_data(), on_progress=forbidden)


def test_of_the_losses_of_a_gap_alone_are_made_again(run, copy):
    (copy / "units" / "epoch-0005" / "2.json").unlink()
    heard = []
    request = AnalysisRequest(classes=",".join(LABELS), solver=SOLVER)
    analyze_trajectory(
        str(run),
        request,
        folder=copy,
        data=tiny_data(),
        on_progress=lambda what, *_: heard.append(unnumbered(what)),
    )
    assert dict.fromkeys(what.split(":")[0] for what in heard) == dict.fromkeys(
        [f"epoch {epoch} class 2" for epoch in EPOCHS]
    )


FAULTS = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "no array": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x0a\x00((((((((((" + b" " * 99),
    "another class's": lambda path: shutil.copy(path.with_name("epoch-0003-1.npy"), path),
    "another epoch's": lambda path: shutil.copy(path.with_name("epoch-0001-2.npy"), path),
}


@pytest.mark.parametrize(
    "fault",
    ["another epoch's", *(pytest.param(fault, marks=pytest.mark.slow) for fault in FAULTS)],
)
def test_vectors_that_were_lost_or_exchanged_are_made_again_and_it_is_said(
    run, whole, tmp_path, fault, caplog
):
    folder = tmp_path / "trajectory"
    with pytest.raises(KeyboardInterrupt):
        along(run, folder, stop_at="epoch 5 class 1")
    FAULTS[fault](folder / "warm" / "epoch-0003-2.npy")
    with caplog.at_level(logging.WARNING):
        along(run, folder)
    assert digests(folder) == digests(whole)
    assert "the eigenvectors of class 2 at epoch-0003 are gone or damaged" in caplog.text


def test_vectors_that_go_while_they_are_needed_are_one_line_and_the_way_on_is_the_same_command(
    run, whole, tmp_path
):
    folder = tmp_path / "trajectory"

    def report(what: str, done: int, planned: int) -> None:
        if unnumbered(what).startswith("epoch 5 class 1"):
            (folder / "warm" / "epoch-0003-2.npy").unlink(missing_ok=True)

    request = AnalysisRequest(classes=",".join(LABELS), solver=SOLVER)
    with pytest.raises(InputError, match="give the same command again"):
        analyze_trajectory(str(run), request, folder=folder, data=tiny_data(), on_progress=report)
    along(run, folder)
    assert digests(folder) == digests(whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_a_trajectory_stopped_anywhere_and_robbed_of_any_files_ends_in_the_same_bytes(
    run, whole, tmp_path, seed
):
    folder, draw = tmp_path / "trajectory", random.Random(seed)
    for _ in range(3):
        stop = f"epoch {draw.choice(EPOCHS)} class {draw.choice(LABELS)}"
        with contextlib.suppress(KeyboardInterrupt):
            along(run, folder, stop_at=stop)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in draw.sample(files, len(files) // 3):
            path.unlink()
    along(run, folder)
    assert digests(folder) == digests(whole)


def test_a_checkpoint_that_changed_moves_those_that_started_from_it(run, whole, copy, tmp_path):
    other = shutil.copytree(run, tmp_path / "run")
    again = tmp_path / "again"
    train_job(tiny_job(again, seed=3, keep_epochs=EPOCHS))
    for name in ("epoch-0003.safetensors",):
        shutil.copy(again / "checkpoints" / name, other / "checkpoints" / name)
    along(other, copy)
    along(other, tmp_path / "fresh")
    assert digests(copy) == digests(tmp_path / "fresh")
    assert digests(copy) != digests(whole)


def test_a_file_of_somebody_elses_among_the_vectors_stays(run, whole, tmp_path):
    folder = tmp_path / "trajectory"
    (folder / "warm").mkdir(parents=True)
    (folder / "warm" / "mine.txt").write_text("mine")
    along(run, folder)
    assert (folder / "warm" / "mine.txt").read_text() == "mine"
    shutil.rmtree(folder / "warm")
    assert digests(folder) == digests(whole)


def test_an_epoch_that_is_not_there_is_an_error(run, tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint of epochs \[4\]"):
        along(run, tmp_path, epochs=(3, 4))


def test_a_folder_that_another_process_writes_to_is_refused(run, tmp_path, held_elsewhere):
    with held_elsewhere(tmp_path), pytest.raises(InputError, match="is in use by process"):
        along(run, tmp_path)
