"""Which images carry the curvature: against dense Hessians of each image, and in words."""

import dataclasses
from pathlib import Path

import pytest
import torch
from oracles import dense_hessian

from checkpoints import AnalysisRequest, analyze, load_checkpoint, load_data
from checkpoints.analysis.class_losses import Losses
from checkpoints.analysis.directions.image_curvatures import measure_images
from checkpoints.analysis.directions.thumbnails import thumbnails
from checkpoints.data import ImageData
from checkpoints.data.dataset import LabelledInputs
from spectra import InputError, SolverSettings
from spectra.results.directions.image_curvatures import (
    HIGHEST,
    LOWEST,
    ImageCurvature,
    ImageCurvatures,
    images_to_csv,
)

DIGITS = "bundled:digits/ce-drw"
EXTREMES = SolverSettings(num_probes=0)
# Few enough for dense Hessians, and not convex: a product of both reaches the softmax.
FEW = ("layer2.0.bn1", "layer2.0.bn2")


def measured(**request) -> ImageCurvatures:
    solver = request.pop("solver", EXTREMES)
    asked = AnalysisRequest(**request, solver=solver)
    (found,) = measure_images(load_checkpoint(DIGITS), load_data(), asked).losses
    return found


def test_curvatures_of_images_are_those_of_their_dense_hessians():
    request = AnalysisRequest(
        classes="tail", loss="train", dtype="float64", parameters=FEW, images_per_class=3,
        solver=SolverSettings(num_probes=0, tol=1e-9, floor=1e-9, max_steps=400),
    )  # fmt: skip
    checkpoint, data = load_checkpoint(DIGITS), load_data()
    (found,) = measure_images(checkpoint, data, request).losses
    losses = Losses.of(checkpoint, data, request)
    op = losses.prepare("tail", (7, 8, 9), check=False).op
    positions = [image.position for image in found.images]
    assert data.train.labels[positions].tolist() == [image.label for image in found.images]
    model = losses.model.double()
    for name, p in model.named_parameters():
        p.requires_grad_(name.startswith(FEW))
    single = [
        dense_hessian(model, op.images[i : i + 1], op.labels[i : i + 1], loss=op.sample_losses)
        for i in range(len(positions))
    ]
    weights = op.weights.double() / op.total_weight
    assert len(set(weights.tolist())) == 3  # one a class
    values, vectors = torch.linalg.eigh(sum(w * h for w, h in zip(weights, single, strict=True)))
    assert values[0] < 0 < values[-1]
    # Some hundred ulp of float64 in sums of cancelling terms; eigenvectors to the residual asked.
    scale = float(values.abs().max())
    for end, k in ((LOWEST, 0), (HIGHEST, -1)):
        v = vectors[:, k]
        expected = [float(v @ h @ v) for h in single]
        assert [i.curvature(end) for i in found.images] == pytest.approx(
            expected, rel=1e-6, abs=1e-9 * scale
        )
        total = sum(i.weight * i.curvature(end) for i in found.images)
        assert total == pytest.approx(float(values[k]), rel=1e-9)
        assert found.eigenvalue(end) == pytest.approx(total, rel=1e-12)
        assert sum(found.share(i, end) for i in found.images) == pytest.approx(1, rel=1e-12)


def test_the_extremes_are_those_of_analyze():
    request = AnalysisRequest(classes="9", solver=EXTREMES)
    record = analyze(DIGITS, request=request).record("9")
    found = measured(classes="9")
    # The images' curvatures are of float32, the extremes' of float64.
    assert found.lambda_min == pytest.approx(record.lambda_min, rel=1e-4)
    assert found.lambda_max == pytest.approx(record.lambda_max, rel=1e-4)
    assert found.residual_min == record.residual_min
    assert found.loss == pytest.approx(record.loss, rel=1e-6)


def test_losses_of_images_add_up_to_the_loss():
    found = measured(classes="9")
    assert sum(i.weight * i.loss for i in found.images) == pytest.approx(found.loss, rel=1e-6)


def test_of_views_an_image_has_their_mean():
    found = measured(classes="9", images="frozen:3")
    assert len(found.images) == 6
    assert sum(i.weight for i in found.images) == pytest.approx(1)
    assert sum(found.share(i, LOWEST) for i in found.images) == pytest.approx(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors")
    analyze(DIGITS, request=AnalysisRequest(classes="9", solver=EXTREMES), vectors=folder)
    return folder


def given(folder: Path, checkpoint: str = DIGITS, **request) -> ImageCurvatures:
    asked = AnalysisRequest(**{"classes": "9", "solver": EXTREMES} | request)
    found = measure_images(load_checkpoint(checkpoint), load_data(), asked, vectors=folder)
    return found.losses[0]


def test_vectors_of_a_file_give_the_same_shares(folder):
    shares = [
        [found.share(image, LOWEST) for image in found.images]
        for found in (given(folder), measured(classes="9"))
    ]
    # Vectors are kept in float32.
    assert shares[0] == pytest.approx(shares[1], abs=1e-4)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"checkpoint": "bundled:digits/vs"}, "are not eigenvectors of class 9 here: vᵀHv is"),
        ({"classes": "8"}, "holds no vectors-8.safetensors; 'spectra analyze --save-vectors"),
        ({"parameters": ("linear",)}, "is of other parameters than this loss: 19130 in"),
    ],
    ids=["other weights", "another class", "other parameters"],
)
def test_vectors_of_something_else_are_refused(folder, request_, said):
    with pytest.raises(InputError, match=said):
        given(folder, **request_)


def test_a_file_that_holds_no_vectors_is_refused(tmp_path):
    (tmp_path / "vectors-9.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"vectors-9\.safetensors as safetensors: its header"):
        given(tmp_path)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"images": "fresh"}, "images needs a fixed matrix"),
        ({"gauss_newton": True}, "leave out --gauss-newton, --top and --per-layer"),
        ({"solver": SolverSettings(num_probes=0, top=2)}, "leave out --gauss-newton, --top"),
        ({"reduction": "global"}, "--reduction global does not change"),
        ({"classes": "overall", "loss": "objective"}, "weight decay is no image's"),
    ],
)
def test_what_has_no_shares_is_refused(request_, said):
    with pytest.raises(InputError, match=said):
        measured(**{"classes": "9"} | request_)


def made(*shares: float, above: tuple[float, ...] | None = None, wrong=(), value=-2.0):
    """Return a class 8 whose images carry the given shares of λmin, and of λmax = 5."""
    above = above or shares
    n = len(shares)
    images = tuple(
        ImageCurvature(10 + i, 8, 1 if i in wrong else 8, 0.1, 1 / n, n * a * value, n * b * 5.0)
        for i, (a, b) in enumerate(zip(shares, above, strict=True))
    )
    return ImageCurvatures("8", 0.1, value, 5.0, 0.0, 0.0, images)


def test_shares_are_ranked_and_the_fewest_that_carry_most_are_found():
    found = made(0.1, 0.5, -0.2, 0.6)
    assert [i.position for i in found.ranked(LOWEST)] == [13, 11, 10, 12]
    # Of 1.2 that bend down: .6 and .5 are 92 %.
    assert [i.position for i in found.carrying(LOWEST)] == [13, 11]
    assert found.share(found.images[2], LOWEST) == pytest.approx(-0.2)


def test_half_of_equal_images_carry_half():
    assert len(made(*[0.1] * 10).carrying(LOWEST, 0.5)) == 5


def test_an_eigenvalue_of_zero_has_no_shares():
    found = made(0.5, 0.5, value=0.0)
    assert [found.share(i, LOWEST) for i in found.images] == [0, 0]
    assert found.carrying(LOWEST) == ()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            made(0.9, 0.1, wrong=[0]),
            "class 8: image 10 alone carries 90 % of the negative curvature (λmin -2); the network "
            "gets it wrong; the same image carries 90 % of λmax.",
        ),
        (
            made(0.9, 0.1, above=(0.05, 0.95)),
            "class 8: image 10 alone carries 90 % of the negative curvature (λmin -2); image 11 "
            "carries most of λmax.",
        ),
        (
            made(0.5, 0.6, -0.1, wrong=[1, 2], above=(0.4, 0.5, 0.1)),
            "class 8: 2 of 3 images carry 80 % of the negative curvature (λmin -2), image 11 the "
            "most with 60 %; the network gets 1 of the 2 wrong; 1 bends the other way, by 10 % in "
            "all; all of these 2 are among the 2 that carry 80 % of λmax.",
        ),
        (
            made(0.5, 0.5, 0.0, wrong=[0, 1], above=(0.45, 0.0, 0.45)),
            "class 8: 2 of 3 images carry 80 % of the negative curvature (λmin -2), image 10 the "
            "most with 50 %; the network gets all 2 wrong; 1 of these 2 is among the 2 that carry "
            "80 % of λmax.",
        ),
        (
            made(0.5, 0.5, 0.0, 0.0, above=(0.0, 0.0, 0.5, 0.5)),
            "class 8: 2 of 4 images carry 80 % of the negative curvature (λmin -2), image 10 the "
            "most with 50 %; none of these 2 are among the 2 that carry 80 % of λmax.",
        ),
        (
            made(0.9, 0.05, 0.05, above=(0.1, 0.5, 0.4)),
            "class 8: image 10 alone carries 90 % of the negative curvature (λmin -2); it is not "
            "among the 2 that carry 80 % of λmax.",
        ),
        (
            made(1.0),
            "class 8: it has one image, which carries all of the negative curvature (λmin -2).",
        ),
        (
            made(0.5, 0.5, value=0.5),
            "class 8 has no negative curvature to speak of (λmin 0.5, λmax 5), so no image carries "
            "any.",
        ),
        (
            made(0.5, 0.5, value=-1e-4),
            "class 8 has no negative curvature to speak of (λmin -0.0001, λmax 5), so no image "
            "carries any.",
        ),
        (
            made(1.3, -0.3, above=(1.0, 0.0)),
            "class 8: image 10 alone carries all of the negative curvature (λmin -2); 1 bends the "
            "other way, by 30 % in all; the same image carries all of λmax.",
        ),
    ],
)
def test_a_sentence_says_who_carries_the_negative_curvature(found, said):
    assert found.sentence == said


def test_the_table_has_a_line_for_each_image_by_its_share():
    lines = images_to_csv([made(0.1, 0.9)]).splitlines()
    assert lines[0].startswith("class,image,label,predicted,loss,weight,curvature_min,share_min")
    assert [line.split(",")[1] for line in lines[1:]] == ["11", "10"]


def test_pixels_are_shown_as_they_are_before_normalisation():
    data = load_data()
    pixels = thumbnails(data, "train", [3, 1])
    expected = data.train.images[1].permute(1, 2, 0) / 16
    assert list(pixels) == [3, 1]
    assert torch.equal(torch.from_numpy(pixels[1]), expected.float())


def floats(inputs: torch.Tensor) -> ImageData:
    split = LabelledInputs(inputs, torch.zeros(len(inputs), dtype=torch.int64))
    return dataclasses.replace(load_data(), train=split, test=None)


def test_normalised_floats_are_stretched_and_others_are_not():
    images = torch.linspace(-2, 6, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    shown = thumbnails(floats(images), "train", [0, 1])
    assert [(float(p.min()), float(p.max())) for p in shown.values()] == [(0, 1), (0, 1)]
    inside = images.clamp(0.25, 0.75)
    assert torch.equal(
        torch.from_numpy(thumbnails(floats(inside), "train", [1])[1]), inside[1].permute(1, 2, 0)
    )


@pytest.mark.parametrize(
    "inputs",
    [
        torch.zeros(2, 5),
        torch.zeros(2, 2, 8, 8),
        torch.zeros(2, 1, 1, 9),
        torch.zeros(2, 3, 8).long(),
    ],
    ids=["features", "two channels", "a row", "tokens"],
)
def test_inputs_that_are_no_pictures_have_no_thumbnails(inputs):
    assert thumbnails(floats(inputs), "train", [0]) == {}
