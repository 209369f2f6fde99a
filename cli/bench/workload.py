"""What is benchmarked: a network, images, and the loss whose Hessian everybody multiplies by."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from checkpoints import Architecture, Checkpoint, ImageData, build_model
from checkpoints.analysis.analyzed_loss import loss_terms
from checkpoints.analysis.data_of import normalisation_for
from checkpoints.models import initialise
from spectra import CrossEntropy, HessianOperator, PerSampleLoss, make_generator
from spectra.classes.chosen_images import choose_images
from spectra.errors import InputError

# Ours: the network of the published CIFAR experiments.
DEFAULT_ARCHITECTURE = "resnet32"
LOSS = "ce"
# A product costs six forward passes where the primal work is kept: two for the tangent's way up
# and four for its way down. Every peer is credited with these six, whatever it really does.
FORWARDS_PER_PRODUCT = 6


@dataclass(frozen=True)
class Workload:
    """One mean loss over frozen images.

    Attributes:
        name: as tables show it.
        model: in eval mode.
        images: normalised, (n, ...).
        labels: int64 (n,).
        loss: per-sample.
        weights: w_i, shape (n,), or None for a plain mean.
        dtype: of the products.
        device: where they are made.
    """

    name: str
    model: nn.Module
    images: Tensor
    labels: Tensor
    loss: PerSampleLoss
    weights: Tensor | None
    dtype: torch.dtype
    device: str

    def __len__(self) -> int:
        return len(self.labels)

    def operator(self, **options: Any) -> HessianOperator:
        """Return the loss's Hessian on copies of network and images; ``options`` go to it."""
        return HessianOperator(
            self.model,
            self.images,
            self.labels,
            **{
                "loss": self.loss,
                "weights": self.weights,
                "dtype": self.dtype,
                "device": self.device,
                **options,
            },
        )

    def host(self, batch: int) -> HessianOperator:
        """Return what a peer takes network, loss and batches of ``batch`` images from."""
        return self.operator(
            micro_chunk=batch, memory_budget=0, products="double-backward", check=False
        )

    def product_flops(self) -> int:
        """Return 6 forward passes over one image, in floating-point operations (2 a multiply)."""
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            self.model(self.images[:1].to(next(self.model.parameters())))
        return FORWARDS_PER_PRODUCT * counter.get_total_flops()


def random_workload(
    num_images: int,
    *,
    seed: int,
    dtype: torch.dtype,
    device: str,
    data: ImageData | None = None,
    architecture: str = DEFAULT_ARCHITECTURE,
) -> Workload:
    """Return a network with random weights; its running statistics are those of the images.

    Args:
        num_images: random ones of 3x32x32, or drawn from ``data``.
        seed: of weights and images.
        dtype: of the products.
        device: of the products.
        data: real images; None: Gaussian noise.
        architecture: one of ``checkpoints.choices.ARCHITECTURES``.
    """
    if num_images < 1:
        raise InputError(f"images must be at least 1, got {num_images}")
    generator = make_generator(seed, "bench", architecture)
    if data is None:
        images = torch.randn(num_images, 3, 32, 32, generator=generator)
        labels, num_classes, name = torch.arange(num_images) % 10, 10, "random images"
    else:
        draw = torch.randperm(len(data.train), generator=generator)[:num_images]
        subset = data.train.subset(draw)
        images, labels = data.normalisation(subset.images), subset.labels
        num_classes, name = data.num_classes, data.name
    _, channels, size, _ = images.shape
    with torch.random.fork_rng(devices=[]):  # torch's own initialisation draws numbers
        model = build_model(Architecture(architecture, num_classes, channels, size))
    initialise(model, generator)
    _settle_statistics(model, images)
    return Workload(
        f"{architecture}, {name}", model, images, labels, CrossEntropy(), None, dtype, device
    )


def checkpoint_workload(
    checkpoint: Checkpoint,
    data: ImageData,
    num_images: int,
    *,
    seed: int,
    dtype: torch.dtype,
    device: str,
) -> Workload:
    """Return a checkpoint on up to ``num_images`` of its training images, drawn at random."""
    if num_images < 1:
        raise InputError(f"images must be at least 1, got {num_images}")
    generator = make_generator(seed, "bench images")
    index = torch.randperm(len(data.train), generator=generator)[:num_images].sort().values
    return _workload(checkpoint, data, index, "", dtype=dtype, device=device)


def class_workload(
    checkpoint: Checkpoint,
    data: ImageData,
    label: int,
    *,
    per_class: int | None,
    seed: int,
    dtype: torch.dtype,
    device: str,
) -> Workload:
    """Return the mean loss of one class over up to ``per_class`` of its training images.

    Raises:
        InputError: the class has no images.
    """
    equal = torch.ones(data.num_classes, dtype=torch.float64)
    choice = choose_images(
        data.train.labels,
        (label,),
        equal,
        per_class=per_class,
        seed=seed,
        where=f"the train split of {data.name}",
    )
    return _workload(checkpoint, data, choice.index, f" class {label}", dtype=dtype, device=device)


def _workload(
    checkpoint: Checkpoint,
    data: ImageData,
    index: Tensor,
    suffix: str,
    *,
    dtype: torch.dtype,
    device: str,
) -> Workload:
    subset = data.train.subset(index)
    normalisation = normalisation_for(checkpoint, data)
    loss = loss_terms(checkpoint, LOSS, checkpoint.class_counts or data.class_counts).loss
    return Workload(
        f"{checkpoint.name}{suffix}",
        checkpoint.model(),
        normalisation(subset.images, dtype),
        subset.labels,
        loss,
        None,
        dtype,
        device,
    )


@torch.no_grad()
def _settle_statistics(model: nn.Module, images: Tensor) -> None:
    """Give every batch norm the moments of the images by one forward pass in training mode."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.momentum for m in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    model(images)
    model.eval()
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
