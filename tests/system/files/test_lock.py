import contextlib
import errno
import logging
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from spectra.errors import InputError
from spectra.system.files.lock import LOCK, locked
from spectra.system.files.writing import write_atomically

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
    said = re.fullmatch(
        rf"{tmp_path} is in use by process {holder.pid} on {host} since (.+); wait for it to end, "
        "or choose another -o",
        str(error.value),
    )
    assert datetime.fromisoformat(said[1]) <= datetime.now().astimezone()


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


def test_a_folder_is_held_once_within_a_process_too(tmp_path, held_elsewhere):
    with held_elsewhere(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()}"):  # noqa: SIM117
        with locked(tmp_path):
            pass


def test_who_holds_a_folder_may_hold_it_again_within(tmp_path):
    with locked(tmp_path):
        with locked(tmp_path / "." / ".." / tmp_path.name):
            pass
        assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()


def test_a_forked_child_holds_nothing_that_its_parent_holds(tmp_path):
    with locked(tmp_path):
        child = os.fork()
        if child == 0:
            try:
                with locked(tmp_path):
                    os._exit(1)
            except InputError:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


def test_nothing_is_left_and_the_folder_can_be_held_again(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "new"):
            pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_there_stays(tmp_path):
    (tmp_path / "there").mkdir()
    with locked(tmp_path / "there" / "new"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]


def test_a_full_disk_names_the_lock_and_leaves_none(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=rf"File too large.*{LOCK}"), locked(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()


def test_a_block_that_fails_lets_go(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_not_said_to_be_in_use(tmp_path):
    tmp_path.chmod(0o500)
    with (
        pytest.raises(InputError, match=r"cannot write to .*; choose another -o"),
        locked(tmp_path),
    ):
        pass
    tmp_path.chmod(0o700)


def test_a_file_where_the_folder_should_be_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(InputError, match="is no folder; choose another -o"), locked(place):
            pass


def test_a_lock_file_is_not_followed_where_it_is_a_link(tmp_path):
    (tmp_path / "other").write_text("precious")
    (tmp_path / LOCK).symlink_to(tmp_path / "other")
    with (
        pytest.raises(InputError, match=r"is a link, .*; remove it"),
        locked(tmp_path),
    ):
        pass
    assert (tmp_path / "other").read_text() == "precious"


@pytest.mark.parametrize("left", ["process 1 on elsewhere since 1970", "", "\x1b[2J" * 99])
def test_a_lock_file_that_was_left_or_copied_holds_nobody_up(tmp_path, left):
    (tmp_path / LOCK).write_text(left)
    with locked(tmp_path):
        pass


def test_what_a_stranger_wrote_into_a_lock_is_shown_without_control_characters(
    tmp_path, held_elsewhere
):
    with held_elsewhere(tmp_path):
        (tmp_path / LOCK).write_text("\x1b[2Jme" + "x" * 9999 + "\nError: forged")
        with pytest.raises(InputError) as error, locked(tmp_path):
            pass
    assert "in use by \\x1b[2Jme" in str(error.value)
    assert "\x1b" not in str(error.value)
    assert len(str(error.value)) < 600


def deleted(folder):
    shutil.rmtree(folder)


def moved(folder):
    folder.rename(folder.with_name("elsewhere"))


def replaced(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def linked(folder):
    moved(folder)
    folder.with_name("other").mkdir()
    folder.symlink_to(folder.with_name("other"))


def unlocked(folder):
    (folder / LOCK).unlink()


@pytest.mark.parametrize("fault", [deleted, moved, replaced, linked, unlocked])
def test_nothing_is_written_into_a_held_folder_that_is_another_one_now(tmp_path, fault):
    folder = tmp_path / "held"
    with locked(folder):
        write_atomically(folder / "in" / "a", b"before")
        fault(folder)
        with pytest.raises(InputError, match=r"deleted, moved or replaced .* b is not written"):
            write_atomically(folder / "in" / "b", b"after")
        write_atomically(tmp_path / "beside", b"is of another folder")
    assert not list(tmp_path.rglob("b"))


def test_another_holders_lock_is_left_when_the_folder_was_replaced(tmp_path, held_elsewhere):
    folder = tmp_path / "held"
    with contextlib.ExitStack() as later:
        with locked(folder):
            replaced(folder)
            later.enter_context(held_elsewhere(folder))
        assert (folder / LOCK).exists()


def test_where_the_file_system_knows_no_locks_the_work_goes_on_and_it_is_said(
    tmp_path, monkeypatch, caplog
):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with caplog.at_level(logging.WARNING), locked(tmp_path):
        pass
    assert "on a file system without locks" in caplog.text
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
