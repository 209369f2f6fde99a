"""Networks that take token ids, masks and several inputs: as a call of one's own would give."""

import logging
from collections import UserDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import (
    DOUBLE,
    IDS,
    IMAGES,
    LABELS,
    MASK,
    Reader,
    Returns,
    assert_same,
    hessian_by_hand,
)
from torch import Tensor, nn

from spectra import (
    HessianOperator,
    InputError,
    LazyImages,
    NonFiniteError,
    class_hessian,
)

OTHER = IMAGES.flip(0)
Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Fields:
    first: Tensor
    second: Tensor


class Two(nn.Module):
    """A network of two inputs, the second one weighed."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Returns()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.net(first) - 0.5 * self.net(second)


class OfFields(Two):
    def forward(self, batch: Fields) -> Tensor:
        return super().forward(batch.first, batch.second)


class OfADictionary(Two):
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return super().forward(batch["first"], batch["second"])


TWO = hessian_by_hand(
    Two(), lambda net: F.cross_entropy(net(IMAGES.double(), OTHER.double()), LABELS)
)
MASKED = hessian_by_hand(Reader(), lambda net: F.cross_entropy(net(IDS, MASK).logits, LABELS))
WHOLE = hessian_by_hand(Reader(), lambda net: F.cross_entropy(net(IDS).logits, LABELS))


def lazy(images: Tensor) -> LazyImages:
    return LazyImages(lambda index: images[index], len(images))


@pytest.mark.parametrize(
    ("net", "images"),
    [
        (Two(), (IMAGES, OTHER)),
        (Two(), [IMAGES, OTHER]),
        (Two(), (IMAGES.double(), OTHER.numpy())),
        (Two(), {"second": OTHER, "first": IMAGES}),
        (Two(), Pair(IMAGES, OTHER)),
        (Two(), (lazy(IMAGES), lazy(OTHER))),
        (Two(), {"first": lazy(IMAGES), "second": OTHER}),
        (OfFields(), Fields(IMAGES, OTHER)),
        (OfADictionary(), {"first": IMAGES, "second": OTHER}),
    ],
    ids=[
        *("tuple", "list", "other dtypes", "dictionary", "named tuple", "lazy", "partly lazy"),
        *("dataclass", "one dictionary"),
    ],
)
@pytest.mark.parametrize("products", ["auto", "double-backward"])
def test_several_inputs_go_where_a_call_by_hand_puts_them(net, images, products):
    H = HessianOperator(net, images, LABELS, dtype=DOUBLE, products=products, micro_chunk=4)
    assert_same(H.dense(), TWO)


@pytest.mark.parametrize(
    ("images", "wanted"),
    [
        (IDS, WHOLE),
        (IDS.int(), WHOLE),
        (IDS.numpy(), WHOLE),
        (IDS.tolist(), WHOLE),
        (lazy(IDS), WHOLE),
        ({"input_ids": IDS}, WHOLE),
        ((IDS, MASK), MASKED),
        ({"input_ids": IDS, "attention_mask": MASK}, MASKED),
        (UserDict(input_ids=IDS, attention_mask=MASK.long()), MASKED),
        ({"input_ids": IDS.numpy(), "attention_mask": MASK.float().numpy()}, MASKED),
        ({"attention_mask": MASK, "input_ids": IDS, "text": ["a"] * 6, "position": None}, MASKED),
        ({"attention_mask": MASK, "input_ids": IDS, "idx": torch.arange(6)}, MASKED),
    ],
    ids=[
        *("ids", "int32", "array", "numbers", "lazy", "keyword", "tuple", "dictionary"),
        *("batch encoding", "float mask", "texts", "a column that the network does not take"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE], ids=str)
def test_token_ids_and_masks_stay_what_they_are(images, wanted, dtype):
    H = class_hessian(Reader(), images, LABELS, None, dtype=dtype)
    # Products in float32: some ulp of their largest entry.
    assert_same(H.dense().double(), wanted, 1e-6 if dtype == torch.float32 else 1e-12)


def test_one_class_of_a_tree_is_that_of_its_samples():
    keep = LABELS == 1
    H = class_hessian(Reader(), {"input_ids": IDS, "attention_mask": MASK}, LABELS, 1, dtype=DOUBLE)
    wanted = hessian_by_hand(
        Reader(), lambda net: F.cross_entropy(net(IDS[keep], MASK[keep]).logits, LABELS[keep])
    )
    assert_same(H.dense(), wanted)


def test_forward_gets_the_batch_as_it_is():
    def call(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        assert batch.keys() == {"ids", "mask"}
        return model(batch["ids"], batch["mask"]).logits

    H = class_hessian(
        Reader(), {"ids": IDS, "mask": MASK}, LABELS, None, forward=call, dtype=DOUBLE
    )
    assert_same(H.dense(), MASKED)


def test_every_way_to_numbers_takes_trees():
    H = HessianOperator(Reader(), (IDS, MASK), LABELS, dtype=DOUBLE, micro_chunk=4)
    v = torch.linspace(-1, 1, H.size, dtype=DOUBLE)
    plain = HessianOperator(Reader(), (IDS, MASK), LABELS, dtype=DOUBLE, micro_chunk=6)
    for ask in (
        lambda H: H @ v,
        lambda H: H.gradient(),
        lambda H: H.scores(),
        lambda H: H.curvatures(v[None]),
        lambda H: H.gauss_newton() @ v,
        lambda H: H.over_images(torch.tensor([0, 5])) @ v,
        lambda H: H.with_images((IDS.flip(0), MASK)) @ v,
    ):
        torch.testing.assert_close(ask(H), ask(plain), rtol=1e-11, atol=1e-13)
    single = HessianOperator(Reader(), (IDS, MASK), LABELS)
    torch.testing.assert_close(single.in_float64() @ v, MASKED @ v, rtol=1e-11, atol=1e-13)
    assert single.accuracy() == plain.accuracy()


def test_a_caller_who_changes_inputs_later_changes_nothing():
    ids = IDS.clone()
    H = HessianOperator(Reader(), {"input_ids": ids}, LABELS, dtype=DOUBLE)
    ids.zero_()
    assert_same(H.dense(), WHOLE)


def test_integer_images_that_a_network_scales_itself_are_taken():
    class Scales(Returns):
        def forward(self, images):
            return super().forward(images.to(self.body.weight.dtype) / 255)

    pixels = (IMAGES * 127 + 128).to(torch.uint8)
    H = HessianOperator(Scales(), pixels, LABELS, dtype=DOUBLE)
    wanted = hessian_by_hand(
        Returns(), lambda net: F.cross_entropy(net(pixels.double() / 255), LABELS)
    )
    assert_same(H.dense(), wanted)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ((IMAGES, OTHER[:5]), "every input must have one entry a sample, but 0 has 6, 1 has 5"),
        ({"a": IMAGES, "b": torch.tensor(1)}, "one entry a sample, but a has 6, b has no axis"),
        ({"text": ["a"] * 6}, "there are no inputs: the tree that was given holds no tensor"),
        ((IMAGES, ["a"] * 6), "input 1 must be a tensor, got str|input 1.0 must be a tensor"),
        ((IMAGES, np.array(["a"] * 6)), "input 1 must be a tensor, got ndarray"),
        ({"x": IMAGES}, "cannot take these inputs: TypeError: .*; inputs are x float32 .6, 4."),
        ((IMAGES,) * 3, "cannot take these inputs: TypeError: .*; inputs are 0 float32 .6, 4., 1"),
        (IMAGES.to_sparse(), "must be dense tensors, got one of layout torch.sparse_coo"),
        ((IMAGES, OTHER.to_sparse()), "must be dense tensors, got one of layout torch.sparse_coo"),
        ("images", "a dictionary, tuple or list of such inputs, got str"),
    ],
)
def test_inputs_of_another_kind_are_named_in_one_line(images, message):
    with pytest.raises(InputError, match=message) as caught:
        HessianOperator(Two(), images, LABELS)
    assert "\n" not in str(caught.value)


def test_pixels_that_nobody_normalised_are_named():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 3))
    pixels = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(InputError, match=r"normalised floats, got torch\.uint8") as caught:
        HessianOperator(net, pixels, LABELS)
    assert "\n" not in str(caught.value)


def test_ids_beyond_the_vocabulary_are_named_as_they_are():
    with pytest.raises(InputError, match="cannot take these inputs: IndexError: index out of r"):
        HessianOperator(Reader(), IDS + 7, LABELS)


def test_nan_among_inputs_is_refused_and_a_mask_of_minus_infinity_is_not():
    bad = torch.where(torch.eye(6, 4) > 0, torch.nan, IMAGES)
    with pytest.raises(NonFiniteError, match="NaN"):
        HessianOperator(Two(), (IMAGES, bad), LABELS)

    class Masked(Returns):
        def forward(self, images: Tensor, mask: Tensor) -> Tensor:
            return super().forward(images * mask.softmax(1))

    mask = torch.where(torch.arange(4) > 1, -torch.inf, 0.0).expand(6, 4)
    H = HessianOperator(Masked(), (IMAGES, mask), LABELS, dtype=DOUBLE)
    halved = IMAGES.double() * torch.tensor([0.5, 0.5, 0, 0]).double()
    wanted = hessian_by_hand(Returns(), lambda net: F.cross_entropy(net(halved), LABELS))
    assert_same(H.dense(), wanted)


def test_what_is_left_out_is_said(caplog):
    caplog.set_level(logging.WARNING)
    batch = {"input_ids": IDS, "sentence": ["a"] * 6, "row": torch.arange(6)}
    class_hessian(Reader(), batch, LABELS, 0, dtype=DOUBLE)
    said = caplog.text
    assert "input sentence is left out: it is no tensor" in said
    assert "input row is left out: the network has no such argument" in said


class Long(nn.Module):
    """Keeps ``width`` numbers for every token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(3, width), nn.Linear(width, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(torch.tanh(self.embedding(ids)).mean(1))


@pytest.mark.parametrize(("length", "low", "high"), [(4, 1024, 1024), (4096, 10, 32)])
def test_sequences_are_chunked_by_what_a_forward_pass_keeps(length, low, high):
    ids = torch.zeros(3, length, dtype=torch.int64)
    H = HessianOperator(Long(256), ids, LABELS[:3], check=False)
    assert low <= H.micro_chunk <= high


@pytest.mark.parametrize("shape", [(3, 4), (3, 1, 8, 8)])
def test_images_keep_the_chunks_that_they_had(shape):
    net = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    net(torch.zeros(shape))
    H = HessianOperator(net, torch.zeros(shape), LABELS[:3], check=False)
    assert H.micro_chunk == {2: 1024, 4: 512}[len(shape)]
