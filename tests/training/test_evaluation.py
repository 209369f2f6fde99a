import json

import pytest
import torch
from tiny_trainings import batch_of, tiny_data
from torch import Tensor, nn

from checkpoints.training.evaluation import ClassMetrics, EpochMetrics, evaluate
from spectra import CrossEntropy, make_generator


class Table(nn.Module):
    """Looks its outputs up by the first pixel, which is the image's number."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.register_buffer("outputs", outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.outputs[images[:, 0, 0, 0].long()]


def evaluated(n: int, classes: int = 4):
    generator = make_generator(0, "evaluation")
    outputs = torch.randn(n, classes, generator=generator, dtype=torch.float64)
    labels = torch.arange(n) % (classes - 1)  # the last class has no image
    images = torch.arange(n, dtype=torch.float64).view(n, 1, 1, 1)
    metrics = evaluate(Table(outputs), images, labels, num_classes=classes, loss=CrossEntropy(2.0))
    return metrics, outputs, labels


@pytest.mark.parametrize("n", [12, 500, 1203])
def test_class_accuracy_is_that_of_a_loop_over_the_images(n):
    metrics, outputs, labels = evaluated(n)
    for c in range(3):
        right = [
            max(range(4), key=lambda k, row=row: row[k]) == c
            for row, y in zip(outputs.tolist(), labels.tolist(), strict=True)
            if y == c
        ]
        assert metrics.accuracy[c] == sum(right) / len(right)


@pytest.mark.parametrize("n", [12, 500, 1203])
def test_class_loss_is_that_of_a_loop_over_the_images(n):
    metrics, outputs, labels = evaluated(n)
    for c in range(3):
        losses = [
            float((2 * row).logsumexp(0) - 2 * row[c])
            for row, y in zip(outputs, labels.tolist(), strict=True)
            if y == c
        ]
        # a sum of at most 401 float64 numbers
        assert metrics.loss[c] == pytest.approx(sum(losses) / len(losses), rel=1e-12)


def test_overall_accuracy_counts_images_not_classes():
    outputs = torch.eye(2, dtype=torch.float64)[[0, 0, 0, 0]]
    images = torch.arange(4, dtype=torch.float64).view(4, 1, 1, 1)
    labels = torch.tensor([0, 0, 0, 1])
    metrics = evaluate(Table(outputs), images, labels, num_classes=2, loss=CrossEntropy())
    assert metrics.overall == 0.75


def test_a_class_without_images_has_neither_accuracy_nor_loss():
    metrics, _, _ = evaluated(12)
    assert (metrics.accuracy[3], metrics.loss[3]) == (None, None)


def test_group_accuracy_is_the_mean_of_the_class_accuracies():
    metrics = ClassMetrics((1.0, 0.25, None), (2.0, 1.0, None), 0.9)
    assert metrics.group_accuracy((0, 1, 2)) == 0.625


def test_group_accuracy_of_classes_without_images_is_none():
    metrics, _, _ = evaluated(12)
    assert metrics.group_accuracy((3,)) is None


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 3))


def evaluate_on_tiny(model: nn.Module) -> None:
    x, y = batch_of(tiny_data())
    evaluate(model, x, y, num_classes=3, loss=CrossEntropy())


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_evaluation_restores_the_mode_of_the_network(mode):
    model = network().train(mode)
    evaluate_on_tiny(model)
    assert [m.training for m in model.modules()] == [mode] * 4


def test_evaluation_restores_the_mode_of_every_layer():
    model = network().train()
    model[1].eval()
    evaluate_on_tiny(model)
    assert [m.training for m in model.modules()] == [True, True, False, True]


def test_evaluation_leaves_batch_norm_statistics_alone():
    model = network().train()
    evaluate_on_tiny(model)
    assert int(model[1].num_batches_tracked) == 0


@pytest.mark.parametrize("test", [None, ClassMetrics((1.0, None), (0.1, None), 1.0)])
def test_metrics_of_an_epoch_survive_json(test):
    metrics = EpochMetrics(3, 0.1, 1 / 3, 2 / 3, test)
    assert EpochMetrics.from_dict(json.loads(json.dumps(metrics.to_dict()))) == metrics


def test_an_epoch_without_test_images_says_nothing_of_them():
    assert list(EpochMetrics(1, 0.1, 2.0, 0.5).to_dict()) == [
        "epoch", "lr", "train_loss", "train_accuracy",
    ]  # fmt: skip
