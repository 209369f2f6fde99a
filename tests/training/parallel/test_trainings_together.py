"""Several ranks train what one process trains."""

from pathlib import Path

import pytest
import torch
import trainings_together
from command_line import invoke
from launching import torchrun
from tiny_trainings import digests

from checkpoints import load_checkpoint
from checkpoints.training.job import checkpoint_path
from checkpoints.training.run import train_job
from spectra.system.ranks import World

pytestmark = pytest.mark.distributed

ALONE = World()
# float64, 20 steps on numbers of order 1: what is summed in another order differs by 1e-15.
TIGHT = {"rtol": 0, "atol": 1e-8}
# Seconds, on a machine that has other work; on two idle cores each launch takes some 15.
LONG = 240


@pytest.fixture(scope="module")
def alone():
    return dict(trainings_together.cases(ALONE))


@pytest.fixture(scope="module", params=[2, 3])
def together(request, tmp_path_factory):
    """What each rank found, and the folder of their runs."""
    size, folder = request.param, tmp_path_factory.mktemp("together")
    trainings_together.begin(folder / "by one", ALONE)
    done = torchrun(size, trainings_together.__file__, str(folder), timeout=LONG)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in range(size)], folder


def test_every_optimizer_ends_in_the_weights_of_one_process(together, alone):
    for found in together[0]:
        for name, tensors in alone.items():
            for key, value in tensors.items():
                torch.testing.assert_close(
                    found[name][key], value, **TIGHT, msg=lambda m, n=name, k=key: f"{n} {k}: {m}"
                )


def test_all_ranks_hold_the_same_bytes(together):
    first, *others = together[0]
    for other in others:
        for name in first:
            if isinstance(first[name], dict):
                assert all(torch.equal(first[name][k], other[name][k]) for k in first[name]), name


def test_what_cannot_be_is_the_same_line_on_every_rank(together):
    found, folder = together
    for said in found:
        assert said["in use"].startswith(f"{folder / 'by one'} holds a run already; add --resume")
        assert said["compiled"].startswith("--compile is for one process, and this job has")
        assert said["parts"].startswith("sam_shards must be a multiple of the")


def test_networks_that_differ_are_named_by_rank_and_tensor(together):
    for said in together[0]:
        assert said["differing"].startswith(
            "ranks 0 and 1 hold different networks after epoch 3, in 1 of 8 tensors, such as "
            "linear.bias; "
        )


def test_a_run_goes_on_in_another_number_of_ranks_to_the_same_weights(together, tmp_path):
    found, folder = together
    several = f"float32 on cpu by {len(found)} processes, batch norm over the whole batch"
    train_job(trainings_together.run_of_four_epochs(folder / "by several"), resume=True)
    (_, path) = train_job(trainings_together.run_of_four_epochs(tmp_path))
    whole = load_checkpoint(path)
    for name, before, after in (
        ("by several", several, "float32 on cpu"),
        ("by one", "float32 on cpu", several),
    ):
        last = load_checkpoint(folder / name)
        assert last.notes == (f"epochs 1-2 {before}; 3-4 {after}",)
        for key, value in whole.state.items():
            # float32, 20 steps, sums in another order
            torch.testing.assert_close(last.state[key], value, rtol=1e-4, atol=1e-5)


def test_ranks_that_go_on_write_the_bytes_of_a_run_that_was_not_interrupted(together):
    _, folder = together
    assert digests(folder / "again") == digests(folder / "whole")


def test_every_rank_gets_the_checkpoint_that_rank_0_has_written(together):
    digests_of_ranks = {found["by name"] for found in together[0]}
    assert len(digests_of_ranks) == 1


def test_a_killed_rank_ends_the_command_which_another_number_of_ranks_goes_on_with(tmp_path):
    words = ["train", "ce", "--n-max", "20", "--epochs", "4", "-o", str(tmp_path)]
    script = Path(__file__).with_name("command_killed.py")
    done = torchrun(2, str(script), *words, timeout=LONG)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if "rank 1 (process" in line]
    assert "has died" in line
    found = invoke(*words, "--resume")
    assert found.exit_code == 0, found.output
    (note,) = load_checkpoint(tmp_path).notes
    several = "float32 on cpu by 2 processes, batch norm over each one's images"
    assert note == f"epochs 1-2 {several}; 3-4 float32 on cpu"


def test_a_checkpoint_says_how_many_processes_trained_it(together):
    found, folder = together
    (note,) = load_checkpoint(checkpoint_path(folder / "by several", 2)).notes
    assert note == f"trained by {len(found)} processes, batch norm over the whole batch"
