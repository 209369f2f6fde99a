"""λmin, λmax and trace of every layer against the blocks of the dense matrix."""

from dataclasses import replace

import pytest
import torch
from drawn_results import record_of
from oracles import dense_gauss_newton, hessian_of, symmetric_with_spectrum
from torch import nn

from spectra import DenseOperator, InputError, class_hessian, layer_spectra
from spectra.findings.layers import layers_of
from spectra.krylov.tolerance import Tolerance
from spectra.results.tables import layers_to_csv

DOUBLE = torch.float64
TIGHT = Tolerance(1e-9, 1e-11)
# Of smooth_mlp: 1.weight 160, 1.bias 5, 3.weight 20, 3.bias 4, 5.weight 12, 5.bias 3.
LAYERS = {"1": slice(0, 165), "3": slice(165, 189), "5": slice(189, 204)}


class Spare(nn.Module):
    """Has a layer that its outputs do not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = nn.Linear(3, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.used(x)


def blocks(matrix):
    return {name: matrix[at, at] for name, at in LAYERS.items()}


@pytest.mark.parametrize("matrix", ["hessian", "gauss-newton"])
def test_extremes_are_those_of_the_dense_blocks(net, matrix):
    op, dense = hessian_of(net), net.hessian
    if matrix == "gauss-newton":
        op, dense = op.gauss_newton(), dense_gauss_newton(net.model, net.images, net.labels)
    found = layer_spectra(op, tolerance=TIGHT)
    assert [layer.name for layer in found] == list(LAYERS)
    for layer, block in zip(found, blocks(dense).values(), strict=True):
        values = torch.linalg.eigvalsh(block)
        assert layer.size == len(values)
        # The residuals allowed, 1e-9 |θ|; the error is quadratic in them: what is left is rounding.
        assert layer.lambda_min == pytest.approx(float(values[0]), abs=1e-11 * net.scale)
        assert layer.lambda_max == pytest.approx(float(values[-1]), abs=1e-11 * net.scale)
        assert layer.converged


def test_a_trace_is_exact_where_a_run_sees_the_whole_block(net):
    layer = layer_spectra(hessian_of(net))[-1]
    assert layer.size <= 20  # steps that a run makes at least
    assert layer.trace == pytest.approx(float(blocks(net.hessian)["5"].trace()), rel=1e-10)
    assert layer.trace_error <= 1e-12 * layer.trace  # a space that closes leaves rounding


def test_little_of_a_trace_is_left_to_be_estimated(net):
    for layer, block in zip(
        layer_spectra(hessian_of(net)), blocks(net.hessian).values(), strict=True
    ):
        # Signs over the whole matrix would leave .3 of it, as many of them.
        assert layer.trace_error <= 0.1 * layer.trace
        off = abs(layer.trace - float(block.trace()))
        assert off <= 4 * layer.trace_error + 1e-10 * net.scale


def test_estimated_traces_are_within_their_errors(net):
    far = []
    for seed in range(10):
        found = layer_spectra(hessian_of(net), num_probes=20, seed=seed, max_steps=1, proof=False)
        for layer, block in zip(found, blocks(net.hessian).values(), strict=True):
            assert layer.trace_error > 0
            far.append(abs(layer.trace - float(block.trace())) / layer.trace_error)
    # Of 30 nearly normal ones some 68 % are within one standard error, and 4 of them none.
    assert sum(one <= 1 for one in far) >= 14
    assert max(far) < 4


def test_float32_products_give_extremes_of_float64_ones(net):
    found = layer_spectra(hessian_of(net, dtype=torch.float32), tolerance=Tolerance(1e-3))
    for layer, block in zip(found, blocks(net.hessian).values(), strict=True):
        # A residual of 1e-3 leaves an error of 1e-6 over the gap to the next eigenvalue.
        assert layer.lambda_max == pytest.approx(float(torch.linalg.eigvalsh(block)[-1]), rel=1e-4)


def test_a_layer_that_no_gradient_reaches_is_zero():
    H = class_hessian(Spare(), torch.randn(4, 3), [0, 1, 0, 1], None)
    spare = layer_spectra(H)[-1]
    assert (spare.name, spare.lambda_min, spare.lambda_max, spare.trace) == ("spare", 0, 0, 0)


def test_a_parametrized_weight_belongs_to_its_module():
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)))
    H = class_hessian(net, torch.randn(4, 3), [0, 1, 0, 1], None, dtype=DOUBLE)
    assert set(layers_of(H.parameter_slices)) == {"0"}


def test_a_progress_is_told_layer_by_layer(net):
    told = []
    layer_spectra(
        hessian_of(net), num_probes=2, max_steps=2, on_progress=lambda *one: told.append(one)
    )
    assert told == [("layers", 3, 3)]


def test_a_table_has_a_line_for_each_layer(net):
    found = layer_spectra(hessian_of(net), num_probes=2, max_steps=2)
    lines = layers_to_csv([replace(record_of(None, "8"), layers=found)]).splitlines()
    assert lines[0].startswith("class,layer,size,lambda_min,")
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["8", "1", "165"], ["8", "3", "24"], ["8", "5", "15"],
    ]  # fmt: skip


def test_a_matrix_of_no_network_has_no_layers():
    op = DenseOperator(symmetric_with_spectrum(torch.linspace(-1, 1, 4), seed=0))
    with pytest.raises(InputError, match="layers are those of a network, got DenseOperator"):
        layer_spectra(op)
