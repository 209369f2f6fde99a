import errno
import multiprocessing
import os
import signal
import socket
import subprocess
import sys

import pytest

from spectra.errors import InputError
from spectra.system.files.lock import LOCK, locked

HOLD = """
import sys, time
from pathlib import Path
from spectra.system.files.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds ``tmp_path``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_that_another_process_holds_is_refused_in_one_line_that_names_it(holder, tmp_path):
    with pytest.raises(InputError) as error, locked(tmp_path):
        pass
    host = socket.gethostname()
    assert str(error.value) == (
        f"{tmp_path} is in use by process {holder.pid} on {host}; wait for it to end, or choose "
        "another -o"
    )


def test_a_refusal_does_not_take_the_holders_name_away(holder, tmp_path):
    for _ in range(2):
        with pytest.raises(InputError, match=f"process {holder.pid} on"), locked(tmp_path):
            pass


def test_a_killed_process_holds_nobody_up(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        assert str(os.getpid()) in (tmp_path / LOCK).read_text()


def test_a_folder_is_held_once_within_a_process_too(tmp_path):
    with locked(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()}"):  # noqa: SIM117
        with locked(tmp_path):
            pass


def test_nothing_is_left_and_the_folder_can_be_held_again(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "new"):
            pass
    assert not list((tmp_path / "new").iterdir())


def test_a_block_that_fails_lets_go(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


def test_where_the_file_system_knows_no_locks_the_work_goes_on(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def _add_one(folder) -> None:
    path = folder / "count"
    for _ in range(20):
        while True:
            try:
                with locked(folder / "lock"):
                    path.write_text(str(int(path.read_text()) + 1))
                break
            except InputError:
                continue


def test_two_processes_are_never_inside_together(tmp_path):
    (tmp_path / "count").write_text("0")
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_add_one, args=(tmp_path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert (tmp_path / "count").read_text() == "40"
