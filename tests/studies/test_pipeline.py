"""Studies: what they write, and that killing one changes nothing."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from checkpoints.studies.pipeline import run_study
from checkpoints.studies.study import load_study
from spectra.errors import InputError
from spectra.results.study_result import load_study_result

STUDY = """
[data]
source = "digits"
n_max = 30
imbalance_factor = 0.1

[train]
recipes = ["ce-drw", "ce-drw-sam"]
seeds = [0, 1]
epochs = 6
keep_epochs = [3, 6]

[analyze]
classes = "0,9,head,tail"
num_probes = 1
num_steps = 6
max_steps = 30

[trajectory]
classes = "9"

[images]
classes = "9"
"""


# What is killed and carried on: every kind of step, of two runs.
SHORT = STUDY.replace("seeds = [0, 1]", "seeds = [0]").replace('"0,9,head,tail"', '"8,9"')


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def short_file(tmp_path: Path) -> Path:
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """results.json of a study that nobody interrupted, from a process of its own."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "short.toml").write_text(SHORT)
    subprocess.run(_command(folder / "short.toml", folder / "out"), check=True, capture_output=True)
    return (folder / "out" / "results.json").read_bytes()


def _command(study: Path, folder: Path) -> list[str]:
    command = Path(sys.executable).with_name("spectra")
    return [str(command), "pipeline", str(study), "-o", str(folder), "--device", "cpu"]


def _kill_after(seconds: float, study: Path, folder: Path) -> None:
    """Start the study, and SIGKILL it after ``seconds`` if it still runs."""
    process = subprocess.Popen(
        _command(study, folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)
        return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _kill_once(there: str, study: Path, folder: Path) -> None:
    """Start the study, and SIGKILL it while it runs, once a file is there."""
    process = subprocess.Popen(
        _command(study, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 240  # as long as a busy machine may take
    while not list(folder.glob(there)) and time.monotonic() < until:
        time.sleep(0.02)
    assert process.poll() is None
    process.kill()
    process.wait()


def _resumed(study: Path, folder: Path) -> bytes:
    subprocess.run(_command(study, folder), check=True, capture_output=True)
    return (folder / "results.json").read_bytes()


@pytest.mark.distributed
def test_a_killed_study_ends_in_the_same_bytes(short_file, tmp_path, whole):
    _kill_once("analyses/ce-drw-seed0/train/epoch-*.json", short_file, tmp_path / "out")
    assert _resumed(short_file, tmp_path / "out") == whole


@pytest.mark.distributed
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc")
def test_processes_side_by_side_end_with_a_killed_one_and_go_on_to_the_same_bytes(
    short_file, tmp_path, whole
):
    command = [*_command(short_file, tmp_path / "out"), "--jobs", "2"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 240  # as long as a busy machine may take
    while not list((tmp_path / "out").glob("training/*/resume*")) and time.monotonic() < until:
        time.sleep(0.05)
    assert _of_session(process.pid) > {process.pid}, "it trains in processes of its own"
    process.kill()
    process.wait()
    while _of_session(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _of_session(process.pid), "nobody works on"
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "out" / "results.json").read_bytes() == whole


def _of_session(leader: int) -> set[int]:
    """The processes that were started in a session and have not ended."""
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.add(int(place.name))
    return found


@pytest.fixture(scope="module")
def length(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds that a whole study takes here."""
    folder = tmp_path_factory.mktemp("timing")
    (folder / "short.toml").write_text(SHORT)
    begun = time.monotonic()
    subprocess.run(_command(folder / "short.toml", folder / "out"), check=True, capture_output=True)
    return time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(10))
def test_a_study_killed_at_random_ends_in_the_same_bytes(
    attempt, short_file, tmp_path, whole, length
):
    moment = random.Random(attempt).uniform(0.1, 0.95) * length
    _kill_after(moment, short_file, tmp_path / "out")
    assert _resumed(short_file, tmp_path / "out") == whole


def test_a_study_holds_every_recipe_and_seed(study_file, tmp_path):
    text = STUDY.replace("epochs = 6", "epochs = 2").replace("[3, 6]", "[1, 2]")
    study_file.write_text(text.replace('"0,9,head,tail"', '"9"').partition("[images]")[0])
    study = load_study(study_file)
    shown: list[int] = []
    result = run_study(
        study, tmp_path / "out", on_result=lambda so_far: shown.append(len(so_far.analyses))
    )
    assert shown == [1, 2, 3, 4]
    assert [(a.checkpoint.recipe, a.checkpoint.seed) for a in result.analyses] == [
        (recipe, seed) for recipe in study.recipes for seed in (0, 1)
    ]
    assert [a.checkpoint.epoch for a in result.runs("ce-drw", "train")[0]] == [1, 2]
    assert load_study_result(tmp_path / "out" / "results.json").recipes == result.recipes


def test_a_folder_of_another_study_is_refused(study_file, tmp_path):
    (tmp_path / "out").mkdir()
    run_to = tmp_path / "out"
    (run_to / "study.json").write_text('{"name": "other"}')
    with pytest.raises(InputError, match="another study"):
        run_study(load_study(study_file), run_to)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[dat]\n", "unknown key 'dat'"),
        ("[data]\nsorce = 'digits'\n", "unknown key data.sorce"),
        ("[analyze]\nprobes = 3\n", "unknown key analyze.probes"),
        ("[figures]\ncolour = 'red'\n", "unknown key figures.colour"),
        ("name = \n", "cannot read .* as a study"),
        ("", "is empty"),
        ("[train]\nseeds = [-1.5]\n", "seeds must be a list of integers >= 0"),
        ("[train]\nseeds = [-1]\n", "seeds must be a list of integers >= 0"),
        ("[train]\nseeds = 3\n", "seeds must be a list of integers >= 0"),
        ("[train]\nkeep_epochs = [1.5]\n", "keep_epochs must be a list of integers >= 0"),
        ("[train]\nrecipes = 'ce'\n", "recipes must be a list of names"),
        ("[analyze]\nmax_steps = 0\n", "max_steps must be in 1..1,000,000, got 0"),
        ("[analyze]\nmemory = '4GiB'\n", "analyze.memory: expected an integer, got '4GiB'"),
        ("[analyze]\nmemory = 0\n", "memory must be at least 1, got 0"),
        ("[analyze]\nloss = 'mse'\n", "analyze: loss must be one of ce, train"),
        ("[analyze]\nreduction = 'sum'\n", "analyze: reduction must be one of mean, global"),
        ("[analyze]\ndtype = 'half'\n", "analyze: dtype must be one of float32, float64"),
        ("[analyze]\nprobe = 'sphere'\n", "analyze: probe must be one of"),
        ("[analyze]\nbasis = 'disk'\n", "analyze: basis must be one of"),
        ("[analyze]\nengine = 'x'\n", "analyze: engine must be one of"),
        ("[analyze]\nmax_basis = 0\n", "max_basis must be an integer of at least 1"),
        ("[analyze]\nsplit = 'test'\n", r"unknown key analyze.split; did you mean splits"),
        ("[analyze]\nsolver = {}\n", "unknown key analyze.solver"),
        ("[analyze]\nnum_probe = 1\n", "unknown key analyze.num_probe; did you mean num_probes"),
        ("train = 5\n", "train: expected an object, got 5"),
        ("[train]\nce = 5\n", "train.ce: expected an object, got 5"),
        ("[train.ce]\nepochs = [1]\n", r"epochs must be an integer, got \[1\]"),
        ("[train]\nloss = 5\n", "loss must be text, got 5"),
        ("[train]\nepochs = 9999999999\n", "an integer of at most 2147483647"),
        ("[train]\narch = 5\n", "train.arch: expected text, got 5"),
        ("name = 5\n", "name: expected text, got 5"),
        ("[train]\nlr = nan\n", "train.lr: expected a finite number, got nan"),
        ("name = 1979-05-27\n", "name: expected a number or text, got the date or time 1979"),
        ("[analyze]\ntau = inf\n", "analyze.tau: expected a finite number, got inf"),
    ],
)
def test_a_study_with_a_slip_is_refused_by_name(tmp_path, text, complaint):
    path = tmp_path / "slip.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        load_study(path)


@pytest.mark.parametrize(
    ("there", "instead", "complaint"),
    [
        ('"ce-drw-sam"]', '"ce-drw-smm"]', "unknown recipe 'ce-drw-smm'"),
        ('classes = "9"', 'classes = "10"', "trajectory: class 10 does not exist"),
        ('classes = "9"', 'parameters = ["nope*"]', "trajectory: no parameter matches 'nope"),
        ('classes = "9"', 'normalisation = "foo"', "trajectory: normalisation must be"),
        ('classes = "9"', 'device = "nowhere"', "trajectory: device must be one that torch"),
        ('classes = "9"', '[figures]\ndensity_classes = ["99"]', "figures.density_classes: class"),
        ("keep_epochs = [3, 6]", "keep_epochs = [7]", "training ce-drw: epochs to keep must lie"),
        ("keep_epochs = [3, 6]", 'arch = "nope"', "training ce-drw: unknown architecture"),
        ("[analyze]\n", '[analyze]\nsplits = ["train", "tset"]\n', "split must be train or test"),
    ],
)
def test_a_study_that_does_not_fit_is_refused_before_anything_is_trained(
    study_file, tmp_path, there, instead, complaint
):
    study_file.write_text(STUDY.replace(there, instead, 1))
    with pytest.raises(InputError, match=complaint):
        run_study(load_study(study_file), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_recipe_field_in_a_study_is_refused(study_file, tmp_path):
    study_file.write_text(STUDY.replace("epochs = 6", "epoch = 6"))
    with pytest.raises(InputError, match=r"unknown key train\.epoch; did you mean epochs\?"):
        load_study(study_file)


@pytest.mark.slow
def test_results_of_processes_side_by_side_are_shown_as_they_come(study_file, tmp_path):
    text = STUDY.replace("seeds = [0, 1]", "seeds = [0]").replace("epochs = 6", "epochs = 2")
    text = text.replace("keep_epochs = [3, 6]", "").replace('"0,9,head,tail"', '"9"')
    study_file.write_text(text.partition("[trajectory]")[0] + "[train.ce-drw-sam]\nepochs = 40\n")
    seen = []

    def look(so_far):
        there = list((tmp_path / "out/analyses").glob("*/train/epoch-*.json"))
        seen.append((len(so_far.analyses), len(there)))

    run_study(load_study(study_file), tmp_path / "out", jobs=2, on_result=look)
    assert seen == [(1, 1), (2, 2)], "the shorter one is shown while the longer one goes on"
