"""Classes are numbered as in the networks of the paper's code where that is asked for."""

import pytest
import torch
from written_photos import write_photos

from checkpoints import load_data
from checkpoints.data.photos.published_order import published_order
from spectra import make_generator

# np.argsort(-counts) of numpy 1.23.5, in which equal classes are not in their own order.
COUNTS = (8, 5, 5, 5, 5, 8, 8, 7, 5, 5, 6, 6, 7, 6, 6, 5, 7, 7, 5, 5, 6, 6, 8, 7, 6, 6, 7, 7, 5, 7,
          8, 8, 8, 6, 6, 7, 7, 7, 8, 6)  # fmt: skip
ORDER = (0, 38, 31, 32, 6, 30, 22, 5, 37, 17, 16, 26, 29, 27, 23, 36, 35, 7, 12, 33, 25, 24, 34, 39,
         20, 14, 13, 11, 10, 21, 18, 15, 28, 9, 8, 4, 3, 2, 1, 19)  # fmt: skip


def test_equal_classes_are_in_the_order_of_numpy_in_2022():
    assert tuple(published_order(COUNTS)) == ORDER


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 1000, 8142])
@pytest.mark.parametrize("largest", [1, 9, 5000])
def test_classes_are_ordered_from_the_most_images_to_the_fewest(n, largest):
    drawn = torch.randint(1, largest + 1, (n,), generator=make_generator(n, "counts")).tolist()
    order = published_order(drawn)
    assert sorted(order) == list(range(n))
    assert [drawn[c] for c in order] == sorted(drawn, reverse=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), (1, 3, 2))


@pytest.mark.parametrize("place", ["{},16,sorted", "{},sorted"])
def test_labels_of_both_lists_are_renumbered(root, place):
    plain = load_data(f"imagenet-lt:{root}")
    found = load_data("imagenet-lt:" + place.format(root))
    assert found.class_counts == (3, 2, 1)
    assert plain.class_counts == (1, 3, 2)
    numbers = torch.tensor([2, 0, 1])
    assert torch.equal(found.test.labels, numbers[plain.test.labels])
    assert found.train.paths == plain.train.paths


def test_renumbered_data_have_a_digest_of_their_own(root):
    digests = {load_data(f"imagenet-lt:{root},16{word}").digest() for word in ("", ",sorted")}
    assert len(digests) == 2
