"""Accuracy and loss: of a network, class by class, and of an epoch of its training."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from checkpoints.data.dataset import ImageData
from checkpoints.data.photos.photos import Photos
from checkpoints.training.parallel.shares import ALONE
from spectra.errors import InputError, first_line
from spectra.objective.images import LazyImages
from spectra.objective.per_sample import PerSampleLoss
from spectra.objective.samples.forward import WithForward
from spectra.objective.samples.input_tree import Samples
from spectra.objective.samples.outputs import find_outputs
from spectra.results.groups.many import are_many
from spectra.results.writers.values import EpochValues
from spectra.system.allocator import out_of_memory
from spectra.system.precision import float32_precision
from spectra.system.ranks import World

EVALUATION_BATCH = 500
# Ours: of photographs, which are made when they are asked for: what ResNet-50 keeps in a forward
# pass of so many is a gigabyte.
_LAZY_BATCH = 64


@dataclass(frozen=True)
class ClassMetrics:
    """What a network does to the images of each class.

    Attributes:
        accuracy: fraction right, one value a class; None for a class without images; empty where
            it is no longer known, see :func:`with_epoch`.
        loss: mean loss, the same way.
        overall: fraction right over all images.
    """

    accuracy: tuple[float | None, ...]
    loss: tuple[float | None, ...]
    overall: float

    def group_accuracy(self, classes: tuple[int, ...]) -> float | None:
        """Return the mean of the class accuracies, as the paper's head/mid/tail columns do."""
        present = [a for c in classes if (a := self.accuracy[c]) is not None]
        return sum(present) / len(present) if present else None


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch of training was made with and came to.

    Attributes:
        epoch: counted from 1.
        lr: learning rate.
        train_loss: mean over the images shown, at w, never at w + ε. LPF-SGD does not visit w:
            there it is of the first draw's w + n.
        train_accuracy: fraction right of the same images, at the same weights.
        test: of the test images, by the weights at its end; None where there are none.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    test: ClassMetrics | None = None

    def values(self) -> EpochValues:
        """Return the curves for a :class:`spectra.results.writers.interface.EpochWriter`.

        The accuracy of class 8 on test images is ``accuracy/8``, as in an analysis. Many classes
        have no curve each.
        """
        numbers = {
            "train/loss": self.train_loss,
            "train/accuracy": self.train_accuracy,
            "train/lr": self.lr,
        }
        if self.test is not None:
            numbers["test/accuracy"] = self.test.overall
            shown = not are_many(self.test.accuracy)
            for name, by_class in (("accuracy", self.test.accuracy), ("test_loss", self.test.loss)):
                own = {f"{name}/{c}": x for c, x in enumerate(by_class) if x is not None}
                numbers |= own if shown else {}
        return EpochValues(self.epoch, numbers)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that files store."""
        plain = asdict(self)
        return plain if self.test else {k: v for k, v in plain.items() if k != "test"}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "EpochMetrics":
        """Rebuild what :meth:`to_dict` wrote.

        Raises:
            KeyError, TypeError: something else wrote it.
        """
        test = plain.get("test")
        return cls(
            epoch=plain["epoch"],
            lr=plain["lr"],
            train_loss=plain["train_loss"],
            train_accuracy=plain["train_accuracy"],
            test=test
            and ClassMetrics(tuple(test["accuracy"]), tuple(test["loss"]), test["overall"]),
        )


def with_epoch(history: Sequence[dict[str, Any]], metrics: EpochMetrics) -> list[dict[str, Any]]:
    """Return the plain form of a run's epochs with one more.

    Of many classes the earlier epochs keep their test accuracy alone: ninety epochs of the 8,142 of
    iNaturalist would be 29 MB, written anew after each. Kept checkpoints have their own epoch's.
    """
    earlier = list(history)
    if earlier and metrics.test is not None and are_many(metrics.test.accuracy):
        test = {**earlier[-1]["test"], "accuracy": (), "loss": ()}
        earlier[-1] = {**earlier[-1], "test": test}
    return [*earlier, metrics.to_dict()]


@torch.no_grad()
def evaluate(
    model: nn.Module,
    images: Samples,
    labels: Tensor,
    *,
    num_classes: int,
    loss: PerSampleLoss,
    world: World = ALONE,
) -> ClassMetrics:
    """Evaluate ``model`` in eval mode and full float32; the mode of every layer is restored.

    Args:
        model: maps images to outputs.
        images: normalised, (n, channels, h, w), or other inputs, on the model's device.
        labels: int64 (n,), on the same device.
        num_classes: C.
        loss: per-sample loss to report.
        world: the ranks, all with the same network and images; each evaluates some whole batches,
            and all have the answer, which has the bytes of one process.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    found = torch.zeros(2, len(labels), dtype=torch.float64, device=labels.device)
    size = _LAZY_BATCH if isinstance(images, LazyImages) else EVALUATION_BATCH
    starts = range(0, len(labels), size)
    try:
        with float32_precision(labels.device, tf32=False):
            for start in starts[world.share(len(starts))]:
                here = slice(start, start + size)
                outputs = model(images[here])
                found[0, here] = (outputs.argmax(1) == labels[here]).double()
                found[1, here] = loss(outputs, labels[here]).double()
    finally:
        for module, mode in modes:
            module.training = mode
    world.add_up(found)  # zeros of the batches of others
    found = torch.cat([labels.double()[None], found]).cpu()  # the one synchronisation
    y = found[0].long()
    n = torch.bincount(y, minlength=num_classes)
    hits = torch.bincount(y, weights=found[1], minlength=num_classes)
    total = torch.bincount(y, weights=found[2], minlength=num_classes)

    def mean(sums: Tensor) -> tuple[float | None, ...]:
        return tuple(s / k if k else None for s, k in zip(sums.tolist(), n.tolist(), strict=True))

    return ClassMetrics(mean(hits), mean(total), float(hits.sum() / max(1, len(y))))


@dataclass(frozen=True)
class Passes:
    """A network as it is called, each way with its outputs (n, C) for an answer.

    Attributes:
        training: in training mode, where some networks return more than outputs.
        evaluation: in eval mode.
    """

    training: nn.Module
    evaluation: nn.Module


def passes_of(model: nn.Module, data: ImageData, name: str) -> Passes:
    """Return the passes of a user's own network, tried on two training images in both modes.

    Its buffers, its mode and the random state stay as they were.

    Args:
        model: where it is to be trained.
        data: to train it on.
        name: of the network, for people.

    Raises:
        InputError: it does not take the images, or has fewer outputs than the data have classes.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    few = data.train.subset(torch.arange(min(2, len(data.train))))
    pixels = few.decoded() if isinstance(few, Photos) else few.images
    images = data.normalisation(pixels.to(device))
    buffers = {key: buffer.clone() for key, buffer in model.named_buffers()}
    mode = model.training
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            training, evaluation = (
                _with_outputs(model.train(trains), images, data, name) for trains in (True, False)
            )
    finally:
        model.train(mode)
        with torch.no_grad():
            for key, buffer in model.named_buffers():
                buffer.copy_(buffers[key])
    return Passes(training, evaluation)


def _with_outputs(model: nn.Module, images: Tensor, data: ImageData, name: str) -> nn.Module:
    try:
        answer = model(images)
    except Exception as error:  # whatever a stranger's forward pass raises
        if out_of_memory(error):
            raise
        raise InputError(
            f"{name} cannot take the images of {data.name}, (channels, height, width) "
            f"{data.train.shape}: {type(error).__name__}: {first_line(error)}"
        ) from error
    place = find_outputs(answer, len(images))
    shape = tuple(place.take(answer).shape[1:])
    if len(shape) != 1 or shape[0] < data.num_classes:
        raise InputError(
            f"{name} returns outputs of shape {shape} for an image, and {data.name} has "
            f"{data.num_classes} classes; expected one output a class"
        )
    return WithForward(model, _called, place) if place.steps else model


def _called(model: nn.Module, batch: Any) -> Any:
    return model(batch)
