"""Which process of a job this is, and what several of them do together."""

import json
from pathlib import Path

import pytest
import torch
from launching import torchrun

from spectra.errors import InputError
from spectra.system.files import lock
from spectra.system.files.lock import Job, holding_for, locked
from spectra.system.files.writing import write_atomically
from spectra.system.ranks import World, joined, world_here
from spectra.system.ranks.launched import launched

_TOGETHER = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


def test_a_process_that_nothing_launched_is_a_world_of_one():
    with joined() as world:
        assert (world.rank, world.size, world.first) == (0, 1, True)


def test_a_world_of_one_gives_back_what_it_was_given():
    values = torch.ones(3)
    world = World()
    assert world.add_up(values) is values
    assert world.share_tensor(values) is values
    assert (world.gather("a"), world.broadcast("a")) == (["a"], "a")


@pytest.mark.parametrize(("count", "size"), [(50, 3), (2, 5), (0, 2), (7, 1)])
def test_shares_of_all_ranks_are_everything_once(count, size):
    shares = [range(count)[World(rank, size).share(count)] for rank in range(size)]
    assert [each for share in shares for each in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"WORLD_SIZE": ""}, "RANK is set and WORLD_SIZE is not"),
        ({"RANK": ""}, "WORLD_SIZE is set and RANK is not"),
        ({"RANK": "2"}, "RANK is 2; it must be below"),
        ({"RANK": "-1"}, "RANK must be a whole number from 0 on, got '-1'"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE must be a whole number from 1 on, got 'two'"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is not set"),
        ({"MASTER_PORT": ""}, "MASTER_PORT must be a whole number"),
        ({"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "1"}, "LOCAL_RANK is 1; it must be below"),
    ],
)
def test_an_environment_that_makes_no_sense_is_one_line(changed, said):
    with pytest.raises(InputError, match=said) as caught:
        launched({**_TOGETHER, **changed})
    assert "\n" not in str(caught.value)


def test_a_job_of_one_process_opens_no_connection(monkeypatch):
    for name, value in {**_TOGETHER, "RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    with joined() as world:
        assert world.size == 1
        assert not torch.distributed.is_initialized()


@pytest.mark.distributed
def test_three_ranks_add_up_gather_and_copy(tmp_path: Path):
    done = torchrun(3, str(Path(__file__).with_name("sums_together.py")), str(tmp_path))
    assert done.returncode == 0, done.stderr
    for rank in range(3):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found["sum"] == found["in place"] == [4.5] * 3
        assert found["gathered"] == [{"rank": 0}, {"rank": 1}, {"rank": 2}]
        assert found["broadcast"] == "from 0"
        assert found["tensor"] == [7.0]
        assert found["float32"]
        assert found["here"]
        assert (found["on machine"], found["after"]) == (3, 1)
    assert world_here() == World()


@pytest.mark.parametrize("first", [True, False])
def test_processes_of_a_job_share_the_folder_that_its_first_one_holds(tmp_path: Path, first):
    held, inner = tmp_path / "out", tmp_path / "out" / "units"
    with holding_for(Job("a", first=True)), locked(held), holding_for(Job("a", first=first)):
        with locked(inner):
            write_atomically(inner / "9.json", b"{}")
        assert (inner / "9.json").exists()


def test_a_job_is_kept_out_of_a_folder_that_another_one_holds(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(lock, "_ADMISSION", 0.1)
    with (
        holding_for(Job("a", first=True)),
        locked(tmp_path),
        holding_for(Job("b", first=False)),
        pytest.raises(InputError, match="do not see one folder"),
        locked(tmp_path / "units"),
    ):
        pass
