"""ImageNet-LT's path from end to end: 1,000 classes and 3,000 JPEGs under its published names."""

import json

import pytest
from command_line import invoke
from written_photos import write_photos

from checkpoints import load_data
from spectra import load_analysis

pytestmark = pytest.mark.slow  # 81 s of a core
# 2,000 training images, and one test image of each class.
COUNTS = (8,) * 100 + (2,) * 300 + (1,) * 600
TWENTY = tuple(map(str, range(0, 1000, 50)))


def run(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return f"imagenet-lt:{write_photos(tmp_path_factory.mktemp('photos'), COUNTS)},16"


@pytest.fixture(scope="module")
def trained(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "photos"
    options = ("--arch", "resnet8", "--epochs", 1, "-o", folder)
    return folder, run("train", "ce-drw-sam", "--data", source, *options)


@pytest.fixture(scope="module")
def analyzed(source, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysis")
    classes = f"many,medium,few,{','.join(TWENTY)}"
    options = ("--num-probes", 0, "--no-bending", "--no-figures")
    run("analyze", trained[0], "--data", source, "--classes", classes, *options, "-o", folder)
    return folder


def test_the_folder_is_read_as_a_thousand_classes_of_three_thousand_images(source):
    data = load_data(source)
    assert (data.num_classes, len(data.train), len(data.test)) == (1000, 2000, 1000)


def test_an_epoch_is_trained_by_the_recipe_of_imagenet_lt(trained):
    line = trained[1].splitlines()[0]
    assert line.startswith("test accuracy 0.")
    assert [word for word in line.split() if word in ("many", "medium", "few")] == [
        "many", "medium", "few",
    ]  # fmt: skip


def test_extremes_of_groups_and_twenty_classes_converge(analyzed):
    found = load_analysis(analyzed / "analysis.json")
    assert [record.label for record in found.records] == ["many", "medium", "few", *TWENTY]
    images = {record.label: record.n for record in found.records[:3]}
    assert images == {"many": 1380, "medium": 455, "few": 165}
    assert all(record.converged for record in found.records)
    fields = found.checkpoint.recipe_fields
    assert (fields["batch_size"], fields["lr_schedule"]) == (256, "cosine")


def test_the_report_holds_every_loss(analyzed, tmp_path):
    run("report", analyzed, "-o", tmp_path / "photos.html")
    page = (tmp_path / "photos.html").read_text("utf-8")
    assert all(json.dumps(label) in page for label in ("many", "medium", "few", *TWENTY))
