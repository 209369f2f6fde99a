"""What a result is of: digests of weights and images, and the libraries that computed it."""

import hashlib
import platform
from collections.abc import Mapping

import numpy
import scipy
import torch
from torch import Tensor

from spectra._version import __version__
from spectra.objective.images import LazyImages
from spectra.objective.per_sample import CrossEntropy, PerSampleLoss
from spectra.objective.samples.input_tree import InputTree, Samples, forms


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state dict: names, shapes and bytes in sorted order.

    >>> weights_digest({"w": torch.zeros(2)})[:8]
    '0447c5e5'
    """
    h = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        h.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
        h.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return h.hexdigest()


def images_digest(images: Samples, labels: Tensor) -> str | None:
    """Return the SHA-256 of images and labels, in order; None of lazy images, which cost more."""
    if isinstance(images, InputTree):
        h = hashlib.sha256(repr(forms(images)).encode())
        held = list(images.leaves.values())
    else:
        h = hashlib.sha256(repr(tuple(images.shape)).encode())
        held = [images]
    for values in (*held, labels):
        if isinstance(values, LazyImages):
            return None
        h.update(values.detach().cpu().contiguous().numpy().tobytes())
    return h.hexdigest()


def library_versions() -> dict[str, str]:
    """Return what results depend on beside the inputs: library versions and the thread count."""
    return {
        "hessian-spectra": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
        "threads": str(torch.get_num_threads()),
    }


def loss_name(loss: PerSampleLoss | None) -> str:
    """Return ``ce``, or the name that a loss has in its code."""
    if loss is None or loss == CrossEntropy():
        return "ce"
    named = getattr(loss, "__name__", None)
    return str(named) if named else type(loss).__name__
