"""Balanced parameters: a filter in units of its own length."""

import pytest
import torch
from oracles import random_vector, symmetric_with_spectrum

from spectra import DenseOperator, InputError
from spectra.landscape.walk.balance import BalancedOperator, balance_filters
from spectra.objective.parameter_slices import ParameterSlices

NAMES = ("0.weight", "0.bias", "1.weight", "1.bias")
SLICES = ParameterSlices(NAMES, tuple(map(torch.Size, ((5, 4), (5,), (3, 5), (3,)))))
SIZES = SLICES.sizes


def layers(seed: int) -> torch.Tensor:
    """Return parameters whose filters are all longer than the floor."""
    one, bias, two, last = random_vector(SLICES.size, "layers", seed).split(SIZES)
    rows = (one.view(5, 4), bias[None], two.view(3, 5), last[None])
    lengths = (1.5, 9.0, 2.0, 8.0)
    return torch.cat(
        [
            (torch.nn.functional.normalize(row) * length).reshape(-1)
            for row, length in zip(rows, lengths, strict=True)
        ]
    )


def rescaled(w: torch.Tensor, factor: float) -> torch.Tensor:
    """Return the same ReLU network, layer one times ``factor``, the weight of two over it."""
    one, bias, two, last = w.split(SIZES)
    return torch.cat([one * factor, bias * factor, two / factor, last])


@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_rescaled_relu_layers_have_rescaled_units(factor):
    w = layers(0)
    before, after = balance_filters(SLICES, w), balance_filters(SLICES, rescaled(w, factor))
    torch.testing.assert_close(after.scale, rescaled(before.scale, factor), rtol=1e-12, atol=0)


def test_relative_distance_is_one_where_each_filter_moves_by_its_length():
    w = layers(1)
    assert balance_filters(SLICES, w).relative(w) == pytest.approx(1, rel=1e-12)


def test_filters_of_one_length_leave_parameters_as_they_are():
    rows = [
        torch.nn.functional.normalize(p.view(s[0], -1))
        for p, s in zip(layers(2).split(SIZES), SLICES.shapes, strict=True)
    ]
    rows[1], rows[3] = rows[1] / rows[1].norm(), rows[3] / rows[3].norm()
    w = torch.cat([row.reshape(-1) for row in rows])
    torch.testing.assert_close(
        balance_filters(SLICES, w).scale, torch.ones(SLICES.size).double(), rtol=1e-12, atol=0
    )


def test_what_is_zero_may_move_by_half_of_what_others_do():
    one, bias, two, last = (piece.clone() for piece in layers(3).split(SIZES))
    bias[:] = 0
    one[:4] = 0  # the filter of the first unit
    found = balance_filters(SLICES, torch.cat([one, bias, two, last]))
    size = float(one.view(5, 4).norm(dim=1).square().mean().sqrt())
    assert found.lengths[0] == pytest.approx(size / 2, rel=1e-12)
    assert found.lengths[20] == pytest.approx(found.mean_length / 2, rel=1e-12)


def test_a_network_of_zeros_keeps_its_parameters_as_units():
    scale = balance_filters(SLICES, torch.zeros(SLICES.size)).scale
    assert (scale > 0).all()
    assert len(scale.unique()) == 1


def test_a_point_of_another_size_is_refused():
    with pytest.raises(InputError, match=r"w must have shape \(43,\), got \(3,\)"):
        balance_filters(SLICES, torch.ones(3))


def test_the_balanced_operator_is_d_h_d():
    matrix = symmetric_with_spectrum(torch.linspace(-1, 2, 6), seed=0)
    scale = torch.linspace(0.5, 3, 6).double()
    dense = BalancedOperator(DenseOperator(matrix), scale).dense()
    # Two roundings an entry.
    torch.testing.assert_close(dense, scale[:, None] * matrix * scale, rtol=1e-14, atol=1e-15)
