"""Sums in pieces are, to the last bit, what they are at once."""

import torch
from oracles import random_vector

from spectra.system.memory import pieces
from spectra.system.memory.pieces import add_parts_to, add_to, take_from


def test_pieces_cover_a_vector_once(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", 4)
    assert [(p.start, p.stop) for p in pieces.pieces(10)] == [(0, 4), (4, 8), (8, 10)]


def test_sums_and_differences_in_pieces_have_the_bytes_of_whole_ones(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", 7)
    total, part = random_vector(30, 0), random_vector(30, 1, dtype=torch.float32)
    added, taken = total.clone(), total.clone()
    add_to(added, part)
    take_from(taken, part)
    assert torch.equal(added, total + part.double())
    assert torch.equal(taken, total - part.double())


def test_parts_added_to_a_large_vector_have_the_bytes_and_the_length_of_one_part(monkeypatch):
    parts = [random_vector(6, k, dtype=torch.float32).view(2, 3) for k in range(3)]
    found = []
    for most in (100, 5):
        monkeypatch.setattr(pieces, "PIECE", most)
        total = random_vector(18, 9)
        length = add_parts_to(total, parts)()
        found.append((total, length))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-14, atol=0)
