"""A file of a finished or half-finished job is damaged: it is made again, or a line names it."""

import random
import re
import shutil
import signal
from pathlib import Path

import pytest
from forked import Ended, check_ending
from jobs import JOBS, OUT, written

pytestmark = pytest.mark.faults
DAMAGES = ("a bit flipped", "a digit changed", "cut", "emptied", "removed", "another's content")


def damage(folder: Path, kind: str, rng: random.Random) -> Path | None:
    """Damage one file of a folder; None where there is none to damage."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    if not files:
        return None
    path = rng.choice(files)
    content = bytearray(path.read_bytes())
    at = rng.randrange(max(1, len(content)))
    if kind == "a bit flipped" and content:
        content[at] ^= 1 << rng.randrange(8)
    elif kind == "a digit changed":
        digits = [i for i, byte in enumerate(content) if 48 <= byte <= 57]
        if digits:
            at = rng.choice(digits)
            content[at] = 48 + (content[at] - 47) % 10
    elif kind == "cut":
        del content[at:]
    elif kind == "emptied":
        content.clear()
    elif kind == "another's content":
        content = bytearray(rng.choice(files).read_bytes())
    path.unlink() if kind == "removed" else path.write_bytes(content)
    return path


def carried_on(run, folder: Path) -> None:
    """Run a command until it ends well, removing each time what its line names."""
    for _ in range(4):
        ended: Ended = run()
        check_ending(ended, 0, 2)
        if ended.code == 0:
            return
        named = [Path(m) for m in re.findall(r"out(?:/[\w.~-]+)*", ended.said)]
        there = [folder / path for path in named if (folder / path).exists()]
        assert there, f"no way on: {ended.said}"
        longest = max(there, key=lambda path: len(path.parts))
        shutil.rmtree(longest) if longest.is_dir() else longest.unlink()
    raise AssertionError(f"still refused: {ended.said}")


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("half", [True, False], ids=["half finished", "finished"])
@pytest.mark.parametrize("job", JOBS)
def test_a_damaged_folder_ends_in_the_bytes_of_a_sound_one(job, half, kind, server, whole, place):
    rng = random.Random(f"{job} {half} {kind}")
    folders = {name: whole(name).folder for name in JOBS[job].needs}
    at = rng.randrange(whole(job).write_points) if half else 10**6
    fault = {"kind": "signals", "signals": [signal.SIGKILL], "pause": 0, "at": at}
    first = server.run(JOBS[job].command(folders), place, {**fault, "root": str(place / OUT)})
    check_ending(first, -signal.SIGKILL if half else 0)
    if damage(place / OUT, kind, rng) is None:
        pytest.skip("nothing was written yet")
    again = JOBS[job].command(folders, again=True)
    carried_on(lambda: server.run(again, place), place)
    assert written(place / OUT) == whole(job).files
