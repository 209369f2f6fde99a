"""The Hessian of the loss of some classes, from images and labels as a caller has them."""

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from spectra.errors import InputError
from spectra.objective.per_sample import PerSampleLoss
from spectra.objective.placement import place
from spectra.objective.plain_model import plain_model
from spectra.objective.samples.forward import Forward
from spectra.objective.samples.input_tree import samples_of, select
from spectra.objective.samples.inputs import label_tensor
from spectra.operators.hessian import HessianOperator


def class_hessian(
    model: nn.Module,
    images: Any,
    labels: Tensor | npt.NDArray[Any] | Sequence[int],
    classes: int | Iterable[int] | None,
    *,
    forward: Forward | None = None,
    loss: PerSampleLoss | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
    parameters: str | Sequence[str] | None = None,
    memory: int | None = None,
    micro_chunk: int | None = None,
) -> HessianOperator:
    """Return the Hessian of the mean loss over the images of one class, of several, or of all.

    Its ``label``, which names the random streams of what is estimated, is ``8`` for class 8,
    ``0,8`` for classes 0 and 8, and ``overall`` for all.

    Cost: some ten products over a few images, which check network and loss.

    Args:
        model: maps images to outputs (n, C), or to something that holds them, see
            :class:`spectra.HessianOperator`; copied, and left as it is. A wrapper of
            ``torch.compile`` or of data parallelism is taken off.
        images: normalised, (n, ...), or token ids, as a tensor or array, lazy ones, or a
            dictionary, tuple or list of such inputs.
        labels: integers, (n,).
        classes: which labels to keep; None for every image.
        forward: makes what the model returns of model and images, where ``model(images)`` does not;
            such as ``lambda model, images: model(pixel_values=images)``.
        loss: per-sample loss; cross-entropy of the outputs where None.
        device: where to compute; None: where model and images are, see
            :func:`spectra.objective.placement.place`. Labels may be anywhere.
        dtype: of the products, float32 or float64.
        parameters: a name or glob of parameters or modules, or several, such as ``layer3.*``: the
            Hessian by these alone; None: by all that have ``requires_grad``.
        memory: bytes that work kept between products may take, which is a part of what the process
            holds in all (:func:`spectra.analyze_classes` has a limit for that); None: 2 GiB, of a
            card half of what is free.
        micro_chunk: images in one piece of work; None: see :class:`spectra.HessianOperator`.

    Raises:
        InputError: an argument is not as above, or no image has such a label.
        NonFiniteError: a loss or product is NaN or infinite.
        OperatorError: network or loss are no fixed, twice differentiable function.

    Example:
        >>> import spectra
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
        >>> images, labels = torch.randn(6, 1, 2, 2), [0, 1, 2, 0, 1, 2]
        >>> H = spectra.class_hessian(net, images, labels, 2)
        >>> H.label, H.num_images, H.size, (H @ torch.ones(15)).shape
        ('2', 2, 15, torch.Size([15]))
    """
    labels = label_tensor(labels)
    samples, label = samples_of(images, len(labels) if labels.ndim else 0), "overall"
    device = place(plain_model(model), samples, device)
    if classes is not None:
        if labels.shape != (len(samples),):
            raise InputError(
                f"labels must have shape ({len(samples)},), one an image, got {tuple(labels.shape)}"
            )
        wanted = _class_labels(classes)
        label = ",".join(str(c) for c in wanted)
        keep = torch.isin(labels, torch.tensor(wanted, device=labels.device))
        if not keep.any():
            raise InputError(f"no image has a label among {wanted}")
        samples, labels = select(samples, torch.nonzero(keep)[:, 0]), labels[keep]
    return HessianOperator(
        model,
        samples,
        labels,
        forward=forward,
        loss=loss,
        dtype=dtype,
        device=device,
        parameters=parameters,
        micro_chunk=micro_chunk,
        memory_budget=memory,
        label=label,
    )


def _class_labels(classes: int | Iterable[int]) -> list[int]:
    several = classes if isinstance(classes, Iterable) else (classes,)
    try:
        return [operator.index(c) for c in several]
    except TypeError:
        raise InputError(
            f"classes must be a label such as 8, several such as (0, 8), or None, got {classes!r}"
        ) from None
