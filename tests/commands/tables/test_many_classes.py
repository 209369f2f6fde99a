"""What is printed of a thousand classes: groups, and no row for each."""

import json

import numpy as np
import pytest
from command_line import invoke

from checkpoints.training.evaluation import ClassMetrics, EpochMetrics, with_epoch
from checkpoints.training.job import state_path
from checkpoints.training.resume import load_history

CLASSES = 1000


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """Training and test images of 4 x 4 pixels, one and two of each class."""
    folder = tmp_path_factory.mktemp("thousand")
    rng = np.random.default_rng(0)
    for name, each in (("train", 1), ("test", 2)):
        labels = np.repeat(np.arange(CLASSES), each)
        images = rng.integers(0, 256, (len(labels), 4, 4, 1), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=images, labels=labels)
    return f"npz:{folder / 'train.npz'},{folder / 'test.npz'}"


@pytest.fixture(scope="module")
def trained(thousand, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "softmax"
    options = ("--arch", "softmax", "--epochs", 2, "--set", "batch_size=1000", "-o", folder)
    result = invoke("train", "ce", "--data", thousand, *options)
    assert result.exit_code == 0, result.output
    return folder, result.stdout


def test_training_prints_the_accuracy_of_the_groups(trained):
    line = trained[1].splitlines()[0]
    assert [word for word in line.split() if word.isalpha()] == [
        "test", "accuracy", "many", "medium", "few",
    ]  # fmt: skip


def test_earlier_epochs_keep_their_accuracy_without_that_of_each_class(trained):
    first, last = load_history(state_path(trained[0]))
    assert (len(first.test.accuracy), len(last.test.accuracy)) == (0, CLASSES)
    assert 0 <= first.test.overall <= 1


def test_data_are_shown_by_group(thousand):
    result = invoke("data", "show", thousand)
    rows = [line.split() for line in result.stdout.splitlines()]
    sizes = {row[0]: row[1:3] for row in rows if row and row[0] in ("many", "medium", "few")}
    assert sizes == {"many": ["390", "390"], "medium": ["445", "445"], "few": ["165", "165"]}


def test_a_radius_in_steps_is_shown_from_the_smallest_to_the_largest():
    rows = [
        line.split() for line in invoke("recipes", "--family", "imagenet-lt").stdout.splitlines()
    ]
    radii = {row[0]: row[4] for row in rows if len(row) > 4}
    assert (radii["ldam-drw-sam"], radii["ldam-drw"]) == ("0.05–0.5", "-")


def test_many_classes_are_no_curves_of_their_own():
    def curves(n):
        found = ClassMetrics((0.5,) * n, (1.0,) * n, 0.5)
        return set(EpochMetrics(1, 0.1, 1.0, 0.5, found).values().numbers)

    assert "accuracy/8" in curves(100)
    assert "accuracy/8" not in curves(CLASSES)
    assert "test/accuracy" in curves(CLASSES)


def test_the_history_of_few_classes_is_kept_whole():
    metrics = EpochMetrics(1, 0.1, 1.0, 0.5, ClassMetrics((0.5, None), (1.0, None), 0.5))
    history = with_epoch(with_epoch([], metrics), metrics)
    assert json.dumps(history[0]) == json.dumps(history[1]) == json.dumps(metrics.to_dict())
