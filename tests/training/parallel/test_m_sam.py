import pytest
import torch
from tiny_trainings import batch_of, tiny_data, tiny_job, tiny_recipe
from torch import nn
from trainings_together import DOUBLE, Net

from checkpoints.recipes.recipe import Recipe
from checkpoints.training.execution import Execution
from checkpoints.training.steps.interface import Batch
from checkpoints.training.steps.sam import SAM
from spectra import CrossEntropy, make_generator
from spectra.errors import InputError

X, Y = batch_of(tiny_data())
W = torch.linspace(1, 2, len(Y), dtype=DOUBLE)
LOSS = CrossEntropy()


def net() -> nn.Module:
    return Net(nn.GroupNorm(2, 6))


def gradient(model, part):
    loss = (W[part] * LOSS(model(X[part]), Y[part])).sum() / W.sum()
    return torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)


def test_each_part_climbs_along_its_own_gradient_and_their_slopes_add_up():
    found, rho = net(), 0.1
    batch = Batch(found, X, Y, W, LOSS)
    SAM(list(found.parameters()), rho=rho, shards=2).fill(batch, make_generator(0))
    wanted = [torch.zeros_like(p) for p in found.parameters()]
    for part in (slice(0, 8), slice(8, 17)):
        model = net()
        at_w = gradient(model, part)
        length = torch.cat([g.reshape(-1) for g in at_w]).norm()
        with torch.no_grad():
            for p, g in zip(model.parameters(), at_w, strict=True):
                p.add_(rho * g / length)
        for total, g in zip(wanted, gradient(model, part), strict=True):
            total.add_(g)
    for p, g in zip(found.parameters(), wanted, strict=True):
        given = torch.zeros_like(p) if p.grad is None else p.grad  # of the layer that is not used
        torch.testing.assert_close(given, g, rtol=1e-10, atol=1e-12)
    plain = Batch(net(), X, Y, W, LOSS)
    torch.testing.assert_close(batch.seen[0], plain.mean().detach())
    assert batch.seen[1] == plain.seen[1]


def test_a_recipe_of_before_parts_could_climb_keeps_its_bytes():
    assert "sam_shards" not in tiny_recipe("ce-sam").to_dict()
    recipe = tiny_recipe("ce-sam", sam_shards=4)
    assert recipe.to_dict()["sam_shards"] == 4
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_parts_climb_in_sam_and_asam_alone():
    with pytest.raises(InputError, match="sam_shards is for the optimizers sam, asam, got sgd"):
        tiny_recipe("ce", sam_shards=2)


def test_parts_that_climb_on_their_own_are_not_normalised_together(tmp_path):
    recipe = tiny_recipe("ce-sam", sam_shards=2)
    with pytest.raises(InputError, match="leave --batch-norm out, or sam_shards"):
        tiny_job(tmp_path, recipe, execution=Execution(batch_norm="synchronised"))
