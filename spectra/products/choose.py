"""Choosing how to make products: the fastest way that agrees with double backward.

There are two ways, and their order is fixed: the tangent pass before double backward. Which is
faster follows from the network, not from a clock: the two round differently, and the same command
is to give the same bytes on a busy machine. ``torch.func.linearize`` of the gradient is no way:
it agrees, but traces every chunk anew, which took from 25 times (group norm) to 200 times
(attention) as long as double backward.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spectra.errors import InputError, SpectraError
from spectra.objective.network.failures import passes_of_network
from spectra.objective.network.own_copy import own_copy
from spectra.objective.per_sample import PerSampleLoss
from spectra.objective.samples.input_tree import Samples, in_dtype
from spectra.products.captured import CapturedProducts
from spectra.products.double_backward import DoubleBackwardProducts
from spectra.products.interface import Products
from spectra.products.reading.read import read
from spectra.products.tangent.products import TangentProducts
from spectra.products.tuning import DEFAULT, Tuning
from spectra.system.allocator import out_of_memory
from spectra.system.recording import CudaRecorder
from spectra.system.seeding import make_generator

# Two float64 passes over the same images differ by some 1e-15; a wrong formula by order 1.
AGREEMENT = 1e-9
COMPARED_IMAGES = 3


Maker = Callable[[nn.Module, PerSampleLoss, Tuning], Products | None]


def _tangent(model: nn.Module, loss: PerSampleLoss, tuning: Tuning) -> Products | None:
    trace = read(model)
    return None if trace is None else TangentProducts(model, trace, loss, tuning)


WAYS: dict[str, Maker] = {
    "tangent": _tangent,
    "double-backward": lambda model, loss, _: DoubleBackwardProducts(model, loss),
}


@dataclass(frozen=True)
class Choice:
    """How products are made, and why not faster.

    Attributes:
        name: a key of :data:`WAYS`.
        reason: what became of the faster ways; empty where the fastest one serves.
        tuning: how it is computed where not by default, see :meth:`Tuning.describe`.
    """

    name: str
    reason: str = ""
    tuning: str = ""

    @property
    def label(self) -> str:
        """What results record: the name, and the tuning where there is one."""
        return ", ".join(part for part in (self.name, self.tuning) if part)


def make_products(
    name: str, model: nn.Module, loss: PerSampleLoss, tuning: Tuning = DEFAULT
) -> Products:
    """Return products of ``model``, in eval mode, made in the named way.

    The layout is the tangent pass's; the other ways take torch's own. Recorded graphs are the
    default of the tangent pass on a CUDA device.

    Raises:
        InputError: there is no such way, or it does not fit the network; graphs without CUDA.
    """
    if name not in WAYS:
        raise InputError(f"products must be one of {', '.join(WAYS)} or auto, got {name!r}")
    products = WAYS[name](model, loss, tuning)
    if products is None:
        raise InputError(
            f"products {name} cannot read this network: torch.fx does not trace its forward pass; "
            "use auto"
        )
    device = next(iter(products.trained.values())).device
    graphs = tuning.graphs
    if graphs is None:
        graphs = name == "tangent" and device.type == "cuda"
    if not graphs:
        return products
    if device.type != "cuda":
        raise InputError(f"graphs need a CUDA device, got {device}; leave graphs out of the tuning")
    return CapturedProducts(products, CudaRecorder(device, share_memory=True))


@passes_of_network()
def choose(
    model: nn.Module,
    loss: PerSampleLoss,
    images: Samples,
    labels: Tensor,
    tuning: Tuning = DEFAULT,
) -> Choice:
    """Return the tangent pass where it agrees with double backward on a few images in float64.

    Elsewhere double backward is returned. The images come in two chunks, the second of one image:
    what is read must not depend on how many there are. A product of that one is made again: it must
    not depend on what the first one left behind.

    Args:
        model: in eval mode; not modified.
        loss: per-sample.
        images: the first of them are used.
        labels: theirs.
        tuning: of the products.

    Raises:
        OperatorError: torch has no second derivative of network or loss, or a pass fails.
    """
    few = slice(0, min(COMPARED_IMAGES, len(labels)))
    double = own_copy(model, torch.float64)
    batch = _batch(images, labels, few)
    generator = make_generator(0, "choice of products")
    # On the CPU, whatever the device: the same vector everywhere, and one upload.
    drawn = [
        torch.randn(p.numel(), generator=generator, dtype=torch.float64)
        for p in double.parameters()
        if p.requires_grad
    ]
    vector = torch.cat(drawn).to(labels.device)
    oracle = DoubleBackwardProducts(double, loss)
    wanted = oracle.linearise(*batch).product(oracle.direction(vector))
    try:
        products = WAYS["tangent"](double, loss, tuning)
        if products is None:
            return Choice("double-backward", "tangent: torch.fx does not trace the forward pass")
        parts = [slice(0, few.stop - 1), slice(few.stop - 1, few.stop)][few.stop == 1 :]
        kept = [products.linearise(*_batch(images, labels, part)) for part in parts]
        direction = products.direction(vector)
        found = [chunk.product(direction) for chunk in kept]
        agree = _agree(torch.stack(found).sum(0), wanted)
        agree = agree and _agree(kept[-1].product(direction), found[-1])
    except Exception as error:  # whatever a stranger's operations raise
        if out_of_memory(error) or isinstance(error, SpectraError):
            raise
        return Choice("double-backward", f"tangent: {' '.join(str(error).split())[:120]}")
    if agree:
        return Choice("tangent")
    return Choice("double-backward", "tangent: differs from double backward")


def _batch(images: Samples, labels: Tensor, few: slice) -> tuple[Any, Tensor, Tensor]:
    """Return some of the images in float64, with weights of one."""
    ones = torch.ones(few.stop - few.start, dtype=torch.float64, device=labels.device)
    return in_dtype(images[few], torch.float64), labels[few], ones


def _agree(found: Tensor, wanted: Tensor) -> bool:
    return float((found - wanted).norm()) <= AGREEMENT * float(wanted.norm())
