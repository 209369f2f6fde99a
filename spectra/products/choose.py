"""Choosing how to make products: the fastest way that agrees with double backward.

There are two ways, and their order is fixed: the tangent pass before double backward. Which is
faster follows from the network, not from a clock: the two round differently, and the same command
is to give the same bytes on a busy machine. ``torch.func.linearize`` of the gradient is no way:
it agrees, but traces every chunk anew, which took from 25 times (group norm) to 200 times
(attention) as long as double backward.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spectra.errors import InputError, SpectraError
from spectra.objective.network.failures import passes_of_network
from spectra.objective.network.own_copy import own_copy
from spectra.objective.per_sample import PerSampleLoss
from spectra.objective.samples.input_tree import Samples, frozen, select
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


@dataclass(frozen=True)
class ExactProduct:
    """A product by double backward in float64, over a few images, that a faster way has to match.

    Attributes:
        model: a copy of the network in float64, in eval mode.
        loss: per-sample.
        images: in float64.
        labels: theirs.
        weights: theirs, w_i.
        vector: shape (P,).
        product: Σ_i w_i ∇²ℓ_i v, shape (P,), over ``total_weight``.
        total_weight: what the sum was divided by.
    """

    model: nn.Module
    loss: PerSampleLoss
    images: Samples
    labels: Tensor
    weights: Tensor
    vector: Tensor
    product: Tensor
    total_weight: float = 1.0


def choose(
    model: nn.Module,
    loss: PerSampleLoss,
    images: Samples,
    labels: Tensor,
    tuning: Tuning = DEFAULT,
) -> Choice:
    """Return the tangent pass where it agrees with double backward on a few images in float64.

    Elsewhere double backward is returned; see :func:`choose_by`, which serves where such a product
    is known.

    Args:
        model: in eval mode; not modified.
        loss: per-sample.
        images: the first of them are used.
        labels: theirs.
        tuning: of the products.

    Raises:
        OperatorError: torch has no second derivative of network or loss, or a pass fails.
    """
    return choose_by(_exact_product(model, loss, images, labels), tuning)


@passes_of_network()
def _exact_product(
    model: nn.Module, loss: PerSampleLoss, images: Samples, labels: Tensor
) -> ExactProduct:
    """Make a product with the first images, all of weight one."""
    count = min(COMPARED_IMAGES, len(labels))
    double = own_copy(model, torch.float64)
    few = frozen(select(images, torch.arange(count)), labels.device, torch.float64)
    ones = torch.ones(count, dtype=torch.float64, device=labels.device)
    generator = make_generator(0, "choice of products")
    # On the CPU, whatever the device: the same vector everywhere, and one upload.
    drawn = [
        torch.randn(p.numel(), generator=generator, dtype=torch.float64)
        for p in double.parameters()
        if p.requires_grad
    ]
    vector = torch.cat(drawn).to(labels.device)
    oracle = DoubleBackwardProducts(double, loss)
    graph = oracle.linearise(few[:], labels[:count], ones)
    product = graph.product(oracle.direction(vector))
    return ExactProduct(double, loss, few, labels[:count], ones, vector, product)


@passes_of_network()
def choose_by(exact: ExactProduct, tuning: Tuning = DEFAULT) -> Choice:
    """Return the tangent pass where it agrees with a known product, else double backward.

    The images come in two chunks, the second of one image: what is read must not depend on how many
    there are. A product of that one is made again: it must not depend on what the first one left
    behind.

    Raises:
        OperatorError: a pass fails.
    """
    try:
        products = WAYS["tangent"](exact.model, exact.loss, tuning)
        if products is None:
            return Choice("double-backward", "tangent: torch.fx does not trace the forward pass")
        count = len(exact.labels)
        parts = [slice(0, count - 1), slice(count - 1, count)][count == 1 :]
        kept = [
            products.linearise(exact.images[part], exact.labels[part], exact.weights[part])
            for part in parts
        ]
        direction = products.direction(exact.vector)
        last = kept[-1].product(direction)
        total = last if len(kept) == 1 else kept[0].product(direction).add_(last)
        agree = _agree(total / exact.total_weight, exact.product)
        del total
        agree = agree and _agree(kept[-1].product(direction), last)
    except Exception as error:  # whatever a stranger's operations raise
        if out_of_memory(error) or isinstance(error, SpectraError):
            raise
        return Choice("double-backward", f"tangent: {' '.join(str(error).split())[:120]}")
    if agree:
        return Choice("tangent")
    return Choice("double-backward", "tangent: differs from double backward")


def _agree(found: Tensor, wanted: Tensor) -> bool:
    """Say whether ``found``, which it spoils, is ``wanted``."""
    return bool(found.sub_(wanted).norm() <= AGREEMENT * wanted.norm())
