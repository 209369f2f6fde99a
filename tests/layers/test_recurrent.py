"""Recurrent layers have the products of double backward."""

import pytest
import torch
from layer_cases import assert_layer, draw
from torch import Tensor

from spectra.products.sequences.cells import Elman
from spectra.products.sequences.gated import Gated
from spectra.products.sequences.long_short_term import LongShortTerm
from spectra.products.sequences.recurrent import Recurrent

SIZE = 3
CELLS = {
    "lstm": (LongShortTerm(), torch._VF.lstm),
    "gru": (Gated(), torch._VF.gru),
    "tanh": (Elman(relu=False), torch._VF.rnn_tanh),
    "relu": (Elman(relu=True), torch._VF.rnn_relu),
}


def by_torch(function, *, batch_first: bool, reverse: bool):
    """Return torch's layer as a function of x and the parameters, on one direction."""

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        x = x if batch_first else x.transpose(0, 1)
        x = x.flip(1) if reverse else x
        start = x.new_zeros(1, len(x), SIZE)
        start = (start, start) if function is torch._VF.lstm else start
        has_biases = len(parameters) == 4
        found = function(x, start, parameters, has_biases, 1, 0.0, False, False, True)[0]
        found = found.flip(1) if reverse else found
        return found if batch_first else found.transpose(0, 1)

    return run


@pytest.mark.parametrize("moving", ["11111", "10111", "11011", "01110", "10000", "00100"])
@pytest.mark.parametrize("options", [(True, False), (False, True)], ids=["plain", "reversed"])
@pytest.mark.parametrize("name", CELLS)
def test_a_recurrent_layer(name, options, moving):
    cell, function = CELLS[name]
    batch_first, reverse = options
    rows = cell.gates * SIZE
    x = draw(2, 4, 5, name="x") if batch_first else draw(4, 2, 5, name="x")
    parameters = (draw(rows, 5), draw(rows, SIZE), draw(rows, name="b"), draw(rows, name="c"))
    layer = Recurrent(cell, batch_first=batch_first, reverse=reverse)
    oracle = by_torch(function, batch_first=batch_first, reverse=reverse)
    assert_layer(layer, oracle, (x, *parameters), [m == "1" for m in moving])


@pytest.mark.parametrize("name", CELLS)
def test_one_sequence_of_one_step_without_biases(name):
    cell, function = CELLS[name]
    rows = cell.gates * SIZE
    layer = Recurrent(cell, batch_first=True, reverse=False)
    oracle = by_torch(function, batch_first=True, reverse=False)
    assert_layer(layer, oracle, (draw(1, 1, 5), draw(rows, 5), draw(rows, SIZE)))
