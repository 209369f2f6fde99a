"""Work in processes side by side: what they leave, say and raise comes back here."""

import logging
import os
import signal
import time

import pytest

from checkpoints.studies.side_by_side import side_by_side
from spectra.errors import InputError
from spectra.system.files.limits import limit, raised_limits


def _speak(key, on_progress):
    on_progress(f"key {key}", 1, 1)
    logging.getLogger("spectra.test").warning("key %s was here", key)


def _refuse(key, on_progress):
    raise InputError(f"key {key} does not fit, classes {limit('classes')}")


def _die(key, on_progress):
    os.kill(os.getpid(), signal.SIGKILL)


def _leave_process(key, on_progress):
    (key / str(os.getpid())).touch()
    if len(list(key.iterdir())) > 1:
        time.sleep(60)


def test_every_key_is_done_and_what_is_said_of_it_is_said_here(caplog):
    said = []
    done = list(
        side_by_side(
            _speak,
            [1, 2],
            jobs=2,
            after=lambda key: [key + 10] if key < 3 else [],
            on_progress=lambda *progress: said.append(progress),
        )
    )
    assert sorted(done) == [1, 2, 11, 12]
    assert {record.getMessage() for record in caplog.records} == {
        f"key {key} was here" for key in done
    }
    assert set(said) == {(f"key {key}", 1, 1) for key in done}


def test_what_a_process_refuses_is_refused_here_under_the_same_limits():
    with raised_limits(classes=7), pytest.raises(InputError, match="key 1 does not fit, classes 7"):
        list(side_by_side(_refuse, [1], jobs=1))


def test_a_killed_process_is_one_line_that_says_how_to_go_on():
    with pytest.raises(InputError, match=r"was killed, perhaps for want of memory.*--jobs 1"):
        list(side_by_side(_die, [1], jobs=1))


def test_work_that_cannot_be_handed_over_is_refused():
    with pytest.raises(InputError, match=r"cannot be handed to another process.*take --jobs 1"):
        list(side_by_side(lambda key, on_progress: None, [1], jobs=1))


def test_processes_end_at_once_where_nobody_asks_for_more(tmp_path):
    keys = side_by_side(_leave_process, [tmp_path, tmp_path], jobs=2)
    next(keys)
    keys.close()  # waits for the processes: the sleeping one would take a minute
    for process in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(process.name), 0)
