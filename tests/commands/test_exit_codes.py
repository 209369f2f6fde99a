"""How a command ends that could not go on: the system, Ctrl-C, memory, our own mistakes."""

import errno
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import Result
from command_line import SMALL, invoke, refused

import cli
from cli import main
from cli.options import group
from cli.options.going_on import KEPT as KEPT_BY_COMMAND
from cli.options.going_on import goes_on
from spectra import InputError


@pytest.mark.parametrize(
    ("command", "code"), [("train", "--resume"), ("pipeline", "spectra pipeline ")]
)
def test_ctrl_c_says_what_is_kept(command, code, tmp_path, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("checkpoints.training.run.train_job", interrupt)
    monkeypatch.setattr("checkpoints.run_study", interrupt)
    (tmp_path / "study.toml").write_text("[train]\nepochs = 1\n")
    what = {"train": "ce", "pipeline": tmp_path / "study.toml"}[command]
    result = invoke(command, what, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert code in result.stderr


def ends_with(error: BaseException, monkeypatch, *before: str) -> Result:
    """Return how a command ends in which ``error`` arises."""

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("checkpoints.load_checkpoint", broken)
    return invoke(*before, "analyze", "bundled:digits/ce-drw")


FULL = OSError(errno.ENOSPC, "No space left on device", "runs/a/analysis.json")
KEPT = "what was finished is kept; go on with: spectra analyze bundled:digits/ce-drw"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FULL, "runs/a/analysis.json: no space left on device; make room there"),
        (OSError(errno.EROFS, "Read-only file system", "x"), "x: read-only file system; choose"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "x"), "x: disk quota exceeded; make room"),
        (OSError(errno.EIO, "Input/output error", b"x\xff"), "input/output error; the disk"),
        (OSError(errno.EMFILE, "Too many open files", "x"), "ulimit -n"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "choose a shorter name"),
        (OSError(errno.EACCES, "Permission denied", "a", None, "b"), "a and b: permission denied"),
        (OSError("said by a library"), "said by a library"),
        (TimeoutError(), "TimeoutError"),
        (RecursionError("maximum recursion depth exceeded"), "nested deeper"),
        (OverflowError("int too large to convert to float"), "a number is too large (int too"),
        ("\ud800".encode, "no UTF-8"),
        (RuntimeError("mat1 and mat2 shapes"), "torch could not go on: mat1 and mat2 shapes"),
        (
            torch.linalg.LinAlgError("no convergence\nmore"),
            "could not go on: no convergence (cli",
        ),
    ],
    ids=lambda case: case if isinstance(case, str) else type(case).__name__,
)
def test_what_disk_memory_or_input_brought_about_is_a_line_and_says_what_is_kept(
    error, said, monkeypatch
):
    if callable(error):
        with pytest.raises(UnicodeEncodeError) as caught:
            error()
        error = caught.value
    result = ends_with(error, monkeypatch)
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert said in line
    assert line.endswith(KEPT)


@pytest.mark.parametrize("error", [KeyError("a\nb"), TypeError("no"), AssertionError()])
def test_a_mistake_of_ours_says_so_and_how_to_report_it(error, monkeypatch):
    result = ends_with(error, monkeypatch)
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith(f"Error: a mistake in spectra, {type(error).__name__}")
    assert "(cli/commands/analyze.py, line" in line
    assert "'spectra --debug analyze ...'" in line


@pytest.mark.parametrize("way", ["option", "variable"])
@pytest.mark.parametrize("error", [KeyError("x"), InputError("mendable")])
def test_debug_shows_the_traceback_before_the_line(way, error, monkeypatch):
    monkeypatch.setenv("SPECTRA_DEBUG", "1" if way == "variable" else "0")
    result = ends_with(error, monkeypatch, *["--debug"] * (way == "option"))
    first, *_, last = result.stderr.strip().splitlines()
    assert first == "Traceback (most recent call last):"
    assert last.startswith("Error: ")


def test_a_long_message_is_cut(monkeypatch):
    line = ends_with(InputError("x" * 10**6), monkeypatch).stderr
    assert len(line) < 2100


def test_a_message_steers_no_terminal(monkeypatch):
    text = "class \x1b]0;title\x07 \x1b[31m\nError: forged \u202e \udcff"
    line = ends_with(InputError(text), monkeypatch).stderr
    assert line.count("\n") == 1
    assert line.strip().isprintable()


def test_whoever_stops_reading_is_told_nothing(monkeypatch):
    assert ends_with(BrokenPipeError(errno.EPIPE, "Broken pipe"), monkeypatch).output == ""


def test_an_import_that_ctrl_c_broke_is_ctrl_c(monkeypatch):
    error = ImportError("numpy: Error importing from its source directory")
    error.__cause__ = KeyboardInterrupt()
    assert ends_with(error, monkeypatch).exit_code == 130


def test_ctrl_c_says_what_is_kept_and_the_command_that_goes_on(monkeypatch):
    result = ends_with(KeyboardInterrupt(), monkeypatch)
    assert (result.exit_code, result.stderr) == (130, f"Interrupted; {KEPT}\n")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("train ce -o 'my runs'", "finished epochs are kept; go on with: "
         "spectra train ce -o 'my runs' --resume"),
        ("train ce --resume", "finished epochs are kept; go on with: spectra train ce --resume"),
        ("--limit json_file=1GiB analyze x", "what was finished is kept; go on with: "
         "spectra --limit json_file=1GiB analyze x"),
        ("data fetch cifar10", "what came of a download is kept; go on with: "
         "spectra data fetch cifar10"),
        ("theorem x", "nothing is kept; begin again with: spectra theorem x"),
        ("recipes", ""),
    ],
)  # fmt: skip
def test_what_goes_on_is_a_command_line_that_can_be_copied(typed, said):
    arguments = shlex.split(typed)
    command = next(word for word in arguments if word in group.COMMANDS)
    assert goes_on(arguments, command) == said
    if said:
        assert shlex.split(said.partition("with: spectra ")[2])[: len(arguments)] == arguments


def test_every_command_that_computes_says_what_it_keeps():
    """Those that show progress; a drawing or a check is made again in moments."""
    root = Path(cli.__path__[0])
    for name, module in group.COMMANDS.items():
        file = root.parent / f"{module.replace('.', '/')}.py"
        if "with reporting(" in file.read_text("utf-8") and name not in ("data", "plot", "doctor"):
            assert name in KEPT_BY_COMMAND


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [("SIGTERM", 143, "Terminated.\n"), ("SIGHUP", 129, "Terminated.\n"),
     ("SIGINT", 130, "Interrupted.\n")],
)  # fmt: skip
def test_a_signal_before_there_is_a_command_is_a_line(name, code, line, monkeypatch, capsys):
    number = getattr(signal, name)
    before = {one: signal.getsignal(one) for one in _SIGNALS}
    for one in _SIGNALS:  # else nohup, or a shell's background, has them ignored, which is left so
        signal.signal(one, signal.SIG_DFL)
    # To this thread: any other may be given one that is sent to the process, and later.
    monkeypatch.setattr(group.cli, "main", lambda **_: signal.raise_signal(number))
    try:
        with pytest.raises(SystemExit) as end:
            main.main()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert (end.value.code, capsys.readouterr().err) == (code, line)


def test_a_full_disk_under_standard_output_is_a_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "recipes"], stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 2
    assert done.stderr.decode().startswith("Error: standard output: no space left on device")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"), "2 GiB)"),
        (MemoryError(), "out of memory;"),
        (ImportError("_sparse.so: failed to map segment from shared object"), "_sparse.so"),
    ],
    ids=["card", "processor", "library"],
)
def test_the_end_of_memory_is_one_line(run_folder, tmp_path, monkeypatch, error, said):
    def short(*_: object) -> None:
        raise error

    monkeypatch.setattr("spectra.save_analysis", short)
    line = refused("analyze", run_folder, "--classes", "9", "-o", tmp_path, *SMALL)
    assert line.startswith("Error: out of memory")
    assert said in line
