"""Other libraries' Hessian-vector products, and ours, behind one small interface."""

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cli.bench.workload import Workload
from spectra import HessianOperator, PyHessianOperator
from spectra.engines.pyhessian import on_its_card
from spectra.system.quiet import quiet

OURS = "spectra"
# Ours: columns that a product of mode "several" takes at once; as many as a block method would.
COLUMNS = 4
# Ours: keep the primal work of every image; the machine's memory is the limit.
ALL_KEPT = 2**50


class Peer(ABC):
    """One library, used in one way, on one workload.

    Attributes:
        name: of the library.
        mode: ``dataloader``, ``retained``, ``one`` or ``several``.
        columns: vectors that a product takes at once.
        package: what to install; its version goes into the result.
        module: what to import.
    """

    name: ClassVar[str]
    mode: ClassVar[str]
    columns: ClassVar[int] = 1
    package: ClassVar[str]
    module: ClassVar[str]

    @abstractmethod
    def __init__(self, workload: Workload, batch: int) -> None:
        """Prepare products with the Hessian of ``workload``, ``batch`` images at a time."""

    @abstractmethod
    def products(self, vectors: Tensor) -> Tensor:
        """Return H v for each row of ``vectors``, shape (K, P), K being ``columns``."""

    @classmethod
    def installed(cls) -> bool:
        """Say whether the library is here, without importing it."""
        return importlib.util.find_spec(cls.module) is not None


class Ours(Peer):
    """A product of our operator, its primal work kept; ``batch`` is the micro-chunk, 0: its own."""

    name, mode, package, module = OURS, "one", "hessian-spectra", "spectra"

    def __init__(self, workload: Workload, batch: int, *, memory_budget: int = ALL_KEPT) -> None:
        self.op = workload.operator(micro_chunk=batch or None, memory_budget=memory_budget)

    def products(self, vectors: Tensor) -> Tensor:
        """Return H v for each row."""
        return torch.stack([self.op.matvec(v) for v in vectors])


class OursSeveral(Peer):
    """Several of our products at once, over the operator, and the kept work, of ``one``."""

    name, mode, package, module = OURS, "several", "hessian-spectra", "spectra"
    columns = COLUMNS

    def __init__(self, workload: Workload, batch: int, *, one: Ours | None = None) -> None:
        self.op = (one or Ours(workload, batch)).op

    def products(self, vectors: Tensor) -> Tensor:
        """Return H v for each row."""
        return self.op.matmat(vectors)


class PyHessianDataloader(Peer):
    """PyHessian over a list of batches: gradient and product anew each time."""

    name, mode, package, module = "pyhessian", "dataloader", "pyhessian", "pyhessian"

    def __init__(self, workload: Workload, batch: int) -> None:
        host = workload.host(batch)
        self._device, self._unflatten = host.device, host.unflatten
        self._peer = PyHessianOperator(host).peer

    def products(self, vectors: Tensor) -> Tensor:
        """Return H v for each row."""
        return torch.stack([self._product(self._unflatten(v)) for v in vectors])

    def _product(self, v: list[Tensor]) -> Tensor:
        # Not by our operator, which would have cuDNN's deterministic kernels make it.
        with on_its_card(self._device), quiet():
            _, pieces = self._peer.dataloader_hv_product(v)
        return _flat(pieces).detach()


class PyHessianRetained(Peer):
    """PyHessian's single-batch mode: the graph of the gradient is kept, one object a batch.

    Its second object on a model would start from the first one's gradients, so these are cleared.
    """

    name, mode, package, module = "pyhessian", "retained", "pyhessian", "pyhessian"

    def __init__(self, workload: Workload, batch: int) -> None:
        host = workload.host(batch)
        # The package hides its submodule "hessian" behind a class of the same name.
        hessian = importlib.import_module("pyhessian.hessian").hessian
        self._product = importlib.import_module("pyhessian.utils").hessian_vector_product
        self._unflatten, criterion = host.unflatten, _SummedLoss(host)
        self._batches = []
        host.model.zero_grad()
        for batch_of_images in _batches(host):
            with on_its_card(host.device), quiet():
                self._batches.append(
                    hessian(
                        host.model,
                        criterion,
                        data=batch_of_images,
                        cuda=host.device.type == "cuda",
                    )
                )
            host.model.zero_grad()

    def products(self, vectors: Tensor) -> Tensor:
        """Return H v for each row."""
        return torch.stack([self._sum(self._unflatten(v)) for v in vectors])

    def _sum(self, v: list[Tensor]) -> Tensor:
        pieces = [self._product(b.gradsH, b.params, v) for b in self._batches]
        return torch.stack([_flat(p) for p in pieces]).sum(0)


class Curvlinops(Peer):
    """curvlinops' ``HessianLinearOperator @ vector``."""

    name, mode, package, module = "curvlinops", "one", "curvlinops-for-pytorch", "curvlinops"

    def __init__(self, workload: Workload, batch: int) -> None:
        host = workload.host(batch)
        with quiet():  # a dependency's torch.jit.script is deprecated
            library = importlib.import_module("curvlinops")
        # Its probe for determinism draws from the global generator; ours has been made.
        self._op = library.HessianLinearOperator(
            host.model,
            _SummedLoss(host),
            host.parameters,
            _batches(host),
            check_deterministic=False,
            num_data=host.num_images,
        )

    def products(self, vectors: Tensor) -> Tensor:
        """Return H v for each row."""
        with quiet():  # so are torch's own rules for forward derivatives, loaded when needed
            return torch.stack([(self._op @ v).detach() for v in vectors])


class CurvlinopsSeveral(Curvlinops):
    """curvlinops' ``HessianLinearOperator @ matrix``: vmap over the columns."""

    mode = "several"
    columns = COLUMNS

    def products(self, vectors: Tensor) -> Tensor:
        """Return H v for each row."""
        with quiet():
            product: Tensor = self._op @ vectors.T.contiguous()
        return product.detach().T


class HessianEigenthings(Peer):
    """hessian-eigenthings' ``HessianOperator.matvec``.

    It averages its batches without weights; the loss is scaled so that a short last one counts
    for what it holds.
    """

    name, mode, package = "hessian-eigenthings", "one", "hessian-eigenthings"
    module = "hessian_eigenthings"

    def __init__(self, workload: Workload, batch: int) -> None:
        host = workload.host(batch)
        batches, criterion = _batches(host), _SummedLoss(host)

        def loss(model: nn.Module, images_and_index: Any) -> Tensor:
            images, index = images_and_index
            return len(batches) * criterion(model(images), index)

        library = importlib.import_module("hessian_eigenthings")
        self._op = library.HessianOperator(host.model, batches, loss)

    def products(self, vectors: Tensor) -> Tensor:
        """Return H v for each row."""
        return torch.stack([self._op.matvec(v).detach() for v in vectors])


PEERS: tuple[type[Peer], ...] = (
    PyHessianDataloader,
    PyHessianRetained,
    Curvlinops,
    CurvlinopsSeveral,
    HessianEigenthings,
)
# What each library is called, and the distribution that it comes in.
PACKAGES = {peer.name: peer.package for peer in PEERS}


def missing_packages(peers: Sequence[type[Peer]] = PEERS) -> list[str]:
    """Return what would have to be installed for every peer to take part."""
    return list(dict.fromkeys(peer.package for peer in peers if not peer.installed()))


class _SummedLoss(nn.Module):
    """Σ w_i ℓ_i / W over a batch, W being the weight of all images: batches add up to the mean.

    Targets are positions of images, so that weights and labels can both be looked up.
    """

    reduction = "sum"  # what curvlinops asks for

    def __init__(self, host: HessianOperator) -> None:
        super().__init__()
        self._host = host

    def forward(self, outputs: Tensor, index: Tensor) -> Tensor:
        """Map outputs (n, C) and positions (n,) to a number."""
        host = self._host
        losses = host.sample_losses(outputs, host.labels[index])
        return (host.weights[index] * losses).sum() / host.total_weight


def _batches(host: HessianOperator) -> list[tuple[Tensor, Tensor]]:
    index = torch.arange(host.num_images, device=host.device)
    return [(host.images[chunk], index[chunk]) for chunk in host.chunks()]


def _flat(pieces: Sequence[Tensor]) -> Tensor:
    return torch.cat([p.reshape(-1) for p in pieces])
