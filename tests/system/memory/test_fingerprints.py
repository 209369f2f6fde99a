"""A fingerprint tells whether a tensor has changed."""

import pytest
import torch
from oracles import random_vector

from spectra.system.memory import pieces
from spectra.system.memory.fingerprints import fingerprint


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_every_entry_and_their_order_count(monkeypatch, dtype):
    monkeypatch.setattr(pieces, "PIECE", 7)  # several of them
    one = (100 * random_vector(20, 0)).to(dtype)
    known = fingerprint(one)
    assert fingerprint(one.clone()) == known
    for entry in range(20):
        other = one.clone()
        other[entry] = ~other[entry] if dtype == torch.bool else other[entry] + 1
        assert fingerprint(other) != known
    if dtype != torch.bool:
        assert fingerprint(one.flip(0)) != known
        assert fingerprint(one.roll(7)) != known  # by a whole piece


def test_a_view_with_strides_has_the_fingerprint_of_its_copy():
    matrix = random_vector(12, 0).view(3, 4)
    assert fingerprint(matrix.T) == fingerprint(matrix.T.contiguous())
