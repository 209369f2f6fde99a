"""Entries of vectors in another order, whether by pieces or one by one."""

import pytest
import torch

from spectra.products.tangent.reordering import Reordering

LONG = 5000
PIECES = torch.cat([torch.arange(LONG, 3 * LONG), torch.arange(LONG), torch.arange(LONG)])


@pytest.mark.parametrize(
    "index",
    [
        PIECES,
        PIECES.flip(0),
        torch.arange(4 * LONG),
        torch.arange(0, 4 * LONG, 2),
        torch.arange(3),
        torch.arange(0),
    ],
    ids=["long pieces", "backwards", "as it is", "every other", "short", "empty"],
)
@pytest.mark.parametrize("shape", [(4 * LONG,), (2, 4 * LONG)], ids=["one", "two"])
def test_entries_are_those_at_the_places_of_the_index(index, shape):
    vectors = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = vectors.clone()
    found = Reordering(index.int(), torch.device("cpu"))(vectors)
    assert torch.equal(found, before[..., index])
    found += 1  # it is nobody else's
    assert torch.equal(vectors, before)
