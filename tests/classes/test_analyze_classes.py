from dataclasses import replace

import numpy as np
import pytest
import torch
from image_data import IMAGES, LABELS, SAME_ORDER, Compiled
from oracles import build_net, dense_hessian, images_and_labels, train
from torch import nn

import checkpoints
import spectra
from spectra import CrossEntropy, InputError, OperatorError, analyze_classes, load_analysis
from spectra.classes.caller import random_state_kept
from spectra.results.analysis import analysis_to_plain

FEW = {"num_probes": 1, "num_steps": 12, "max_steps": 12}


@pytest.fixture(scope="module")
def net():
    images, labels = images_and_labels(22)
    return train(build_net("mlp_bn"), images, labels, steps=15, lr=0.3), images, labels


@pytest.fixture(scope="module")
def linear():
    with random_state_kept(0):
        return nn.Sequential(nn.Linear(4, 3))


def records(analysis):
    """Return what a file would hold of the records, quadrature included: equal to the last bit."""
    return analysis_to_plain(analysis)["records"]


def test_numbers_are_those_of_the_command_line_to_the_last_bit():
    checkpoint, data = checkpoints.load_checkpoint("bundled:digits/ce-drw"), checkpoints.load_data()
    request = checkpoints.AnalysisRequest(classes="8,overall", images_per_class=4)
    expected = checkpoints.analyze(checkpoint, data, request)
    images = checkpoint.normalisation(data.train.images)
    found = analyze_classes(
        checkpoint.model(),
        (images, data.train.labels),
        [8, "overall"],
        images_per_class=4,
    )
    # Test images are the command's own.
    without = [replace(record, accuracy=None) for record in expected.records]
    assert records(found) == records(replace(expected, records=tuple(without)))
    assert found.protocol.solver == expected.protocol.solver
    assert found.versions == expected.versions


@pytest.mark.parametrize("classes", [[0], {"some": [1, 2]}, "overall"])
def test_extremes_are_those_of_the_dense_hessian(net, classes):
    model, images, labels = net
    found = analyze_classes(
        model, (images, labels), classes, dtype=torch.float64, num_steps=400, tol=1e-9
    )
    (record,) = found.records
    keep = torch.isin(labels, torch.tensor(record.classes))
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(model, images[keep], labels[keep]))
    # A residual of 1e-9 leaves an error of its square at most; 1e-9 is far above rounding.
    scale = float(eigenvalues.abs().max())
    assert record.n == int(keep.sum())
    assert record.lambda_min == pytest.approx(float(eigenvalues[0]), abs=1e-9 * scale)
    assert record.lambda_max == pytest.approx(float(eigenvalues[-1]), abs=1e-9 * scale)


@pytest.mark.parametrize("data", SAME_ORDER.values(), ids=SAME_ORDER)
def test_every_kind_of_data_gives_the_same_result(data, linear):
    expected = analyze_classes(linear, (IMAGES, LABELS), 0, **FEW)
    found = analyze_classes(linear, data, 0, **FEW)
    assert records(found) == records(expected)
    assert found.checkpoint.data["digest"] == expected.checkpoint.data["digest"]


def test_model_and_random_state_stay_as_they_were(net):
    model, images, labels = net
    model.train()
    model[0].eval()
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    modes = [m.training for m in model.modules()]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    random_state = torch.get_rng_state()
    analyze_classes(model, (images, labels), 0, **FEW)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize(
    "around", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_a_mode_that_the_caller_is_in_changes_nothing(linear, around):
    expected = analyze_classes(linear, (IMAGES, LABELS), 0, **FEW)
    with around():
        found = analyze_classes(linear, (IMAGES, LABELS), 0, **FEW)
    assert records(found) == records(expected)


def test_a_result_is_saved_and_read(linear, tmp_path):
    found = analyze_classes(linear, (IMAGES, LABELS), name="mine", **FEW)
    found.save(tmp_path / "found.json")
    read = spectra.load_analysis(tmp_path / "found.json")
    assert read.rows() == found.rows()
    assert (read.checkpoint, read.protocol) == (found.checkpoint, found.protocol)
    assert repr(read).startswith("mine (loss ce, plain images)")


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (None, "ce"),
        (CrossEntropy(), "ce"),
        (CrossEntropy(2.0), "CrossEntropy"),
        (nn.CrossEntropyLoss(reduction="none"), "CrossEntropyLoss"),
    ],
)
def test_the_loss_is_named(linear, loss, name):
    found = analyze_classes(linear, (IMAGES, LABELS), 0, loss=loss, **FEW)
    assert found.protocol.loss == name


def test_progress_counts_images_and_then_steps(linear):
    told = []
    analyze_classes(
        linear, SAME_ORDER["a loader"], [0, 2], **FEW, on_progress=lambda *at: told.append(at)
    )
    named = list(dict.fromkeys(what for what, _, _ in told))
    first, second = "class 0 (1 of 2)", "class 2 (2 of 2)"
    assert named == ["images", first, f"{first} bending", second, f"{second} bending"]
    assert [planned for what, _, planned in told if what == second][-1] == FEW["num_steps"]


def test_a_compiled_model_is_analyzed_as_what_it_wraps(linear):
    expected = analyze_classes(linear, (IMAGES, LABELS), 0, **FEW)
    found = analyze_classes(Compiled(linear), (IMAGES, LABELS), 0, **FEW)
    assert records(found) == records(expected)
    assert found.checkpoint == expected.checkpoint


def test_forward_says_what_the_outputs_are(linear):
    class InDictionary(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = linear

        def forward(self, images):
            return {"logits": self.inner(images)}

    def logits(model, images):
        return model(images)["logits"]

    expected = analyze_classes(linear, (IMAGES, LABELS), 0, **FEW)
    found = analyze_classes(InDictionary(), (IMAGES, LABELS), 0, forward=logits, **FEW)
    # Products are made another way: equal to float32 rounding, of 12 steps.
    for mine, theirs in zip(found.records, expected.records, strict=True):
        assert mine.lambda_max == pytest.approx(theirs.lambda_max, rel=1e-4)
        assert mine.loss == pytest.approx(theirs.loss, rel=1e-5)


def test_integer_images_are_refused(linear):
    with pytest.raises(InputError, match=r"images must be normalised floats, got torch\.uint8"):
        analyze_classes(linear, (IMAGES.to(torch.uint8), LABELS), 0)


def test_a_loss_that_is_no_mean_over_images_is_refused():
    class Mixes(nn.Linear):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    with pytest.raises(OperatorError):
        analyze_classes(Mixes(4, 3), (IMAGES, LABELS), 0)


def test_too_little_memory_is_refused_in_one_line(linear):
    with pytest.raises(InputError, match="GiB") as caught:
        analyze_classes(linear, (IMAGES, LABELS), memory=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 2.5}, "num_steps must be an integer, got 2.5"),
        ({"seed": "0"}, "seed must be an integer, got '0'"),
        ({"tol": "small"}, "tol must be > 0 and floor >= 0, got 'small'"),
        ({"tol": 0}, "tol must be > 0"),
        ({"radius": "x"}, "radius and tau must be positive, got 'x'"),
        ({"tau": 0}, "radius and tau must be positive"),
        ({"memory": "4GiB"}, "memory must be a number of bytes, such as .*, got '4GiB'"),
        ({"images_per_class": 1.5}, "images_per_class must be an integer of at least 1, got 1.5"),
    ],
)
def test_numbers_that_are_none_are_refused_before_any_product(linear, options, message):
    def progress(what, done, planned):
        assert what == "images"

    with pytest.raises(InputError, match=message):
        analyze_classes(linear, (IMAGES, LABELS), on_progress=progress, **options)


def test_numpy_numbers_are_written_as_any_others(linear, tmp_path):
    numbers = {"seed": np.int64(3), "num_steps": np.int32(4), "images_per_class": np.uint8(2)}
    found = analyze_classes(linear, (IMAGES, LABELS), 0, radius=np.float32(0.5), name=3, **numbers)
    found.save(tmp_path / "found.json")
    read = load_analysis(tmp_path / "found.json")
    assert read.protocol.solver == found.protocol.solver
    assert (read.protocol.images_per_class, read.protocol.radius) == (2, 0.5)
    assert read.checkpoint.name == "3"


def test_a_record_is_found_by_its_number_and_a_missing_one_says_what_is_there(linear):
    found = analyze_classes(linear, (IMAGES, LABELS), [0, 2], num_steps=2)
    assert found.record(2) is found.record("2")
    with pytest.raises(KeyError, match="no record of 1; there are 0, 2"):
        found.record(1)
