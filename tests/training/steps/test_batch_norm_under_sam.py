import pytest
import torch
from one_training_step import LOOSE, climb, mean_loss, start_and_end
from tiny_trainings import one_step, tiny_job, tiny_recipe
from torch import Tensor, nn

from checkpoints.formats.native import load_native
from checkpoints.training.job import checkpoint_path
from checkpoints.training.run import train_job
from checkpoints.training.steps.sam import frozen_batch_norm


def running_averages(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items() if "running" in k}


def test_sam_with_batch_norm_first_updates_statistics_at_w_alone(tmp_path):
    recipe = one_step(optimizer="sam", rho=2.0, sam_bn="first")
    start, end, _ = start_and_end(tmp_path, recipe)
    mean_loss(start)
    torch.testing.assert_close(running_averages(end), running_averages(start), **LOOSE)


def test_sam_with_batch_norm_both_updates_statistics_at_w_and_uphill(tmp_path):
    recipe = one_step(optimizer="sam", rho=2.0, sam_bn="both")
    start, end, _ = start_and_end(tmp_path, recipe)
    climb(start, 2.0)
    mean_loss(start)
    torch.testing.assert_close(running_averages(end), running_averages(start), **LOOSE)


@pytest.mark.parametrize(("sam_bn", "updates"), [("first", 5), ("both", 10)])
def test_batch_norm_counts_the_updates_of_sam(tmp_path, sam_bn, updates):
    train_job(tiny_job(tmp_path, tiny_recipe("ce-sam", sam_bn=sam_bn, batch_size=100)))
    state = load_native(checkpoint_path(tmp_path, 5)).state
    assert int(state["bn1.num_batches_tracked"]) == updates


@pytest.mark.parametrize("active", [True, False])
def test_frozen_batch_norm_leaves_running_averages_alone_only_where_active(active):
    norm = nn.BatchNorm1d(2)
    with frozen_batch_norm(norm if active else None):
        norm(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    # momentum .1 towards the batch's means 2 and 4
    expected = torch.zeros(2) if active else torch.tensor([0.2, 0.4])
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-6, atol=0)


def test_frozen_batch_norm_normalises_by_the_batch():
    norm = nn.BatchNorm1d(1)
    with frozen_batch_norm(norm):
        out = norm(torch.tensor([[1.0], [3.0]])).detach()
    # (x - 2) / sqrt(1 + 1e-5)
    torch.testing.assert_close(out, torch.tensor([[-1.0], [1.0]]), rtol=0, atol=1e-5)
