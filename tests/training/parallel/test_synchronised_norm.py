import copy

import pytest
import torch
from torch import nn

from checkpoints.training.parallel.norms import Presence, synchronise
from spectra.system.ranks import World

DOUBLE = torch.float64
# Float64, sums of some hundred numbers of order 1.
TIGHT = {"rtol": 1e-10, "atol": 1e-12}
SHAPES = {nn.BatchNorm1d: (9, 4), nn.BatchNorm2d: (5, 4, 3, 2), nn.BatchNorm3d: (3, 4, 2, 2, 2)}


def filled(layer: nn.Module, inputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return what a layer makes of inputs, one after the other, and every derivative of that."""
    found: dict[str, torch.Tensor] = {}
    for i, given in enumerate(inputs):
        x = given.clone().requires_grad_()
        found[f"outputs {i}"] = layer(x)
        slopes = torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view(x.shape)
        (found[f"outputs {i}"] * slopes).sum().backward()
        found[f"slopes {i}"] = x.grad
    found |= dict(layer.named_buffers())
    return found | {f"slopes of {key}": p.grad for key, p in layer.named_parameters()}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}],
    ids=["plain", "cumulative", "not affine", "without averages"],
)
def test_over_one_rank_it_is_torchs_batch_norm(kind, options):
    generator = torch.Generator().manual_seed(0)
    plain = kind(4, dtype=DOUBLE, **options)
    synchronised = copy.deepcopy(plain)
    synchronise(synchronised, World(), Presence())
    inputs = [
        torch.randn(SHAPES[kind], generator=generator, dtype=DOUBLE) * 3 + 5 for _ in range(2)
    ]
    wanted, found = filled(plain, inputs), filled(synchronised, inputs)
    assert wanted.keys() == found.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, **TIGHT)


def test_in_eval_mode_it_is_untouched():
    layer = nn.BatchNorm2d(4).eval()
    x = torch.randn(2, 4, 3, 3)
    wanted = layer(x)
    synchronise(layer, World(), Presence())
    assert torch.equal(layer(x), wanted)


def test_outputs_keep_the_dtype_of_the_inputs_and_sums_are_of_float32():
    layer = nn.BatchNorm1d(1, dtype=torch.bfloat16)
    synchronise(layer, World(), Presence())
    found = layer(torch.full((1000, 1), 3.0, dtype=torch.bfloat16))
    assert found.dtype == torch.bfloat16
    assert found.abs().max() == 0  # a mean that was summed in bfloat16 would be another number
