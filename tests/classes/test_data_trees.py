"""Data of several inputs a sample, in every form in which they come."""

import logging
from collections import UserDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from spectra import ClassSpectra, InputError, LazyImages, analyze_classes, class_hessian
from spectra.classes.batches import split_batch
from spectra.classes.image_source import image_source
from spectra.objective.samples.input_tree import InputTree

N = 30
LABELS = torch.arange(N) % 3
IDS = (torch.arange(N * 5).reshape(N, 5) * 7 + LABELS[:, None]) % 11
MASK = (torch.arange(5)[None] <= (torch.arange(N) % 5)[:, None]).long()
SOME = torch.tensor([2, 5, 29])


class Reader(nn.Module):
    """A classifier with the face of a Hugging Face model."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 2), nn.Linear(2, 3)
        with torch.no_grad():
            for i, p in enumerate(self.parameters()):
                p.copy_(torch.linspace(-2, 2, p.numel()).add(i).sin().view_as(p))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        words = torch.tanh(self.embedding(input_ids)) * attention_mask[..., None]
        logits = self.head(words.sum(1) / attention_mask.sum(1, keepdim=True))
        return SimpleNamespace(logits=logits, hidden_states=(words,))


def rows(ids, mask, labels) -> list[dict]:
    return [
        {"input_ids": i, "attention_mask": m, "label": y, "text": f"row {y}", "none": None}
        for i, m, y in zip(ids, mask, labels, strict=True)
    ]


def padded(items: list[dict]) -> UserDict:
    """Return a batch as a collator of transformers does."""
    names = ("input_ids", "attention_mask")
    batch = {n: torch.tensor([item[n] for item in items]) for n in names}
    return UserDict(batch, labels=torch.tensor([item["label"] for item in items]))


LISTS = rows(IDS.tolist(), MASK.tolist(), LABELS.tolist())
TREE = {"input_ids": IDS, "attention_mask": MASK}
FORMS = {
    "a pair with a dictionary": (TREE, LABELS),
    "a pair with a tuple": ((IDS, MASK), LABELS.tolist()),
    "a pair with a list": ([IDS.numpy(), MASK.numpy()], LABELS.numpy()),
    "lazy inputs": ({k: LazyImages(lambda i, v=v: v[i], N) for k, v in TREE.items()}, LABELS),
    "a dictionary with labels": {**TREE, "labels": LABELS},
    "arrays with a label": {"label": LABELS.numpy(), **{k: v.numpy() for k, v in TREE.items()}},
    "read-only arrays": {
        **{k: np.broadcast_to(v.numpy(), v.shape) for k, v in TREE.items()}, "label": LABELS
    },
    "a batch encoding": UserDict(TREE, labels=LABELS),
    "three tensors": (IDS, MASK, LABELS),
    "a TensorDataset": TensorDataset(IDS, MASK, LABELS),
    "a loader of a TensorDataset": DataLoader(TensorDataset(IDS, MASK, LABELS), batch_size=7),
    "rows of tensors": rows(IDS, MASK, LABELS),
    "rows of lists": LISTS,
    "rows of arrays": rows(IDS.numpy(), MASK.numpy(), LABELS.numpy()),
    "a loader of rows": DataLoader(
        [{k: v for k, v in row.items() if k != "none"} for row in LISTS], batch_size=7, shuffle=True
    ),
    "a loader with a collator": DataLoader(LISTS, batch_size=7, collate_fn=padded),
    "rows of pairs": [((i, m), y) for i, m, y in zip(IDS, MASK, LABELS.tolist(), strict=True)],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_data_gives_the_same_samples(form):
    source = image_source(FORMS[form], room=2**30)
    assert torch.equal(source.labels, LABELS)
    taken = source.take(SOME)
    assert isinstance(taken, InputTree)
    ids, mask = taken.leaves.values()
    assert torch.equal(ids[:].long(), IDS[SOME])
    assert torch.equal(mask[:].long(), MASK[SOME])
    assert ids.dtype == mask.dtype == torch.int64


def test_an_analysis_of_rows_is_that_of_each_class_by_itself():
    found = analyze_classes(Reader(), LISTS, [0, 2], num_probes=0, max_steps=20)
    for label in (0, 2):
        H = class_hessian(Reader(), TREE, LABELS, label, dtype=torch.float64)
        wanted = torch.linalg.eigvalsh(H.dense())
        record = found.record(str(label))
        # .03 is what is asked of extremes without a density.
        assert record.lambda_max == pytest.approx(float(wanted[-1]), rel=0.03)
        assert record.n == 10


def test_results_recognise_the_samples():
    runs = [
        analyze_classes(Reader(), FORMS[form], 0, num_steps=2).checkpoint.data
        for form in ("a pair with a dictionary", "rows of lists", "lazy inputs")
    ]
    assert runs[0]["digest"] == runs[1]["digest"] is not None
    assert runs[2]["digest"] is None
    assert [run["images"] for run in runs] == [10, 10, 10]


def test_a_recorder_takes_rows():
    recorder = ClassSpectra(LISTS, every=1, classes=[0], num_steps=3)
    assert recorder.record(Reader(), 1).record("0").n == 10


def test_a_dictionary_of_one_input_goes_to_the_network_whatever_its_name():
    images = torch.linspace(-1, 1, 120).reshape(N, 4)
    items = [{"img": x, "label": y} for x, y in zip(images, LABELS.tolist(), strict=True)]
    net = nn.Sequential(nn.Linear(4, 3))
    named = analyze_classes(net, items, 1, num_steps=4).record("1")
    plain = analyze_classes(net, (images, LABELS), 1, num_steps=4).record("1")
    assert named.lambda_max == plain.lambda_max


def test_the_last_of_several_parts_is_said_to_be_the_labels(caplog):
    caplog.set_level(logging.WARNING)
    four = [(x, x, x, y) for x, y in zip(IDS, LABELS.tolist(), strict=True)]
    assert torch.equal(image_source(four, room=2**30).labels, LABELS)
    assert "data have 4 parts: the last are taken as labels" in caplog.text


def test_samples_that_do_not_fit_are_refused():
    room = 2 * N * (IDS[:1].nbytes + MASK[:1].nbytes)
    image_source(LISTS, room=room)
    with pytest.raises(InputError, match=r"30 images take .* GiB may be taken"):
        image_source(LISTS, room=room // 2 - 1).take(SOME)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TREE, "a dictionary with labels, got a dictionary of input_ids, attention_mask"),
        ((TREE, LABELS[:9]), "labels must be 30, one an image, got 9"),
        (({**TREE, "extra": IDS[:9]}, LABELS), "one entry a sample, but .*, extra has 9"),
        (rows(IDS, [m[: 1 + i % 2] for i, m in enumerate(MASK)], LABELS), "padded to one length"),
        (
            DataLoader(rows([i[: 5 - n // 15] for n, i in enumerate(IDS.tolist())], MASK.tolist(),
                            LABELS.tolist()), batch_size=15, collate_fn=padded),
            r"input_ids must be of one shape, got \(5,\) and \(4,\); pad sequences to one length",
        ),
        ([{"text": "a", "label": 0}] * 3, "there are no inputs"),
        ([{"label": 0}] * 3, "with labels, got a dictionary of label"),
    ],
)  # fmt: skip
def test_data_that_make_no_samples_are_refused_in_one_line(data, message):
    with pytest.raises(InputError, match=message) as caught:
        image_source(data, room=2**30).take(SOME)
    assert "\n" not in str(caught.value)


def test_pixels_that_nobody_normalised_are_named_by_an_analysis():
    pixels = torch.zeros(N, 1, 2, 2, dtype=torch.uint8)
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 3))
    items = list(zip(pixels, LABELS.tolist(), strict=True))
    with pytest.raises(InputError, match=r"images must be normalised floats, got torch\.uint8"):
        analyze_classes(net, items, 0)


@pytest.mark.parametrize(
    ("batch", "said"),
    [((3, "x"), "2 of int, str"), ({"ids": 1}, "a dictionary of ids"), (7.0, "float")],
)
def test_a_batch_that_is_none_is_described(batch, said):
    with pytest.raises(InputError, match=f"a batch must be .*, got {said}$"):
        split_batch(batch)
