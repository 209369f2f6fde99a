"""Embeddings have the products of double backward."""

import pytest
import torch
import torch.nn.functional as F
from layer_cases import assert_layer, draw

from spectra.products.sequences.embedding import Embedding


@pytest.mark.parametrize("padding", [None, 0, -2])
@pytest.mark.parametrize("n", [1, 4])
def test_embedding(n, padding):
    picked = torch.arange(n * 6).reshape(n, 2, 3) % 5
    assert_layer(
        Embedding(padding),
        lambda i, w: F.embedding(i, w, padding_idx=padding),
        (picked, draw(7, 3)),
    )


def test_positions_that_all_images_share():
    assert_layer(Embedding(), F.embedding, (torch.arange(4), draw(4, 3)))
