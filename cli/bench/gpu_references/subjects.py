"""Losses whose products and extremes the CPU knows in float64, and how any device gets them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from checkpoints import Checkpoint, ImageData
from checkpoints.analysis.analyzed_loss import loss_terms
from checkpoints.analysis.data_of import normalisation_for
from cli.bench.comparison.converged_extremes import converged_reference
from cli.bench.workload import LOSS, Workload
from spectra import HessianOperator, draw_probe, make_generator
from spectra.errors import InputError

SEED = 0


@dataclass(frozen=True)
class Subject:
    """The mean loss of the first images of a class, which references are of.

    Attributes:
        label: class.
        n: images.
    """

    label: int
    n: int

    @property
    def name(self) -> str:
        """What tables, seeds and stored references call it."""
        return f"class {self.label}, {self.n} images"


@dataclass(frozen=True)
class ReferenceExtremes:
    """Both ends of the spectrum of one subject.

    Attributes:
        lambda_min: float64 Rayleigh quotient, loss / parameter².
        lambda_max: the same at the upper end.
        converged: both residuals are small enough.
    """

    lambda_min: float
    lambda_max: float
    converged: bool


def reference_workload(
    checkpoint: Checkpoint,
    data: ImageData,
    label: int,
    num_images: int,
    *,
    dtype: torch.dtype,
    device: str,
) -> Workload:
    """Return the mean loss of the first ``num_images`` training images of a class.

    Raises:
        InputError: the class has no images.
    """
    index = (data.train.labels == label).nonzero().flatten()[:num_images]
    if not len(index):
        raise InputError(f"data {data.name} has no images of class {label}; give data that has")
    subset = data.train.subset(index)
    normalisation = normalisation_for(checkpoint, data)
    terms = loss_terms(checkpoint, LOSS, checkpoint.class_counts or data.class_counts)
    return Workload(
        Subject(label, len(index)).name,
        checkpoint.model(),
        normalisation(subset.images, dtype),
        subset.labels,
        terms.loss,
        None,
        dtype,
        device,
    )


def reference_vector(op: HessianOperator, name: str) -> Tensor:
    """Return the seeded vector of a subject, shape (P,), in the operator's dtype, on its device.

    Of random signs, which every processor draws alike to the last bit.
    """
    generator = make_generator(SEED, "gpu suite", name)
    probe = draw_probe(op.size, probe="rademacher", generator=generator)
    return probe.to(op.device, op.dtype)


def reference_extremes(op: HessianOperator, name: str) -> ReferenceExtremes:
    """Return both ends: Lanczos from the subject's own start, refined in float64.

    Cost: up to 100 products and about ten in float64.
    """
    found = converged_reference(op, make_generator(SEED, "gpu suite extremes", name))
    return ReferenceExtremes(found.smallest.value, found.largest.value, found.converged)
