"""The exact Hessian of a weighted mean of per-sample losses over frozen images."""

import contextlib
import copy
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from spectra.checks import CHECKED_IMAGES, check_derivatives, check_losses, check_products
from spectra.errors import InputError, NonFiniteError
from spectra.losses import CrossEntropy, PerSampleLoss
from spectra.operators import SymmetricOperator
from spectra.products import ChunkHessian, Choice, choose, make_products
from spectra.products.workers import map_in_order

# Ours: the pixels of 32 CIFAR images: enough to keep one core busy, few enough that a class of 50
# keeps two busy. On CUDA a chunk is 32 times as large. The chunk fixes the order of summation, so
# changing it moves results by rounding.
CHUNK_PIXELS = 32 * 32 * 32
CUDA_FACTOR = 32
# Ours: what a laptop can spare.
MEMORY_BUDGET = 2 * 2**30


@dataclass
class ImageCount:
    """What was computed, in images: the currency of :mod:`spectra` against its peers.

    Attributes:
        forwards: forward passes, a sixth of a product each.
        products: images times vectors.
        double_products: those in float64 beside a float32 operator, which count twice.
    """

    forwards: int = 0
    products: int = 0
    double_products: int = 0

    @property
    def total(self) -> float:
        """Image products in all."""
        return self.forwards / 6 + self.products + 2 * self.double_products


class HessianOperator(SymmetricOperator):
    """H = Σ_i w_i ∇²ℓ_i / Σ_i w_i over the trainable parameters.

    The network and the images are copied when the operator is built: the caller's model keeps its
    mode, gradients, dtype and device, and later changes to it change nothing here. The copy runs
    in eval mode. Weight decay is not part of H.

    Images are worked through in constant micro-chunks, one a core, summed in index order in
    float64: the result depends neither on the memory budget nor on the number of cores. The budget
    only decides for how many chunks the primal work (values, cotangents) is kept between products.

    How products are made is chosen when the operator is built (:func:`spectra.products.choose`): by
    a tangent pass over known layers, by ``torch.func.linearize`` of the gradient, or by double
    backward; ``choice`` says which, and why not faster.

    Cost of a product: 6 forward passes over the images, 9 where the primal work is not kept.

    Args:
        model: maps images (n, ...) to outputs (n, C). Buffers are frozen too.
        images: (n, ...), already normalised.
        labels: int64 (n,).
        loss: per-sample loss of outputs and labels.
        weights: w_i >= 0, shape (n,); None for a plain mean over the images.
        dtype: of parameters, images and products: float32 or float64.
        device: where to compute; None: where ``images`` are.
        micro_chunk: images in one piece of work; None: :func:`default_micro_chunk`.
        memory_budget: bytes that kept primal work may take.
        products: ``auto``, or a key of :data:`spectra.products.WAYS`.
        check: probe the first chunk: is it a fixed, symmetric matrix, the derivative of the
            gradient of a loss that is a mean over images? (float64 central differences)

    Raises:
        InputError: shapes, labels or dtype are not as above, or there are no images.
        NonFiniteError: loss or gradient is NaN or infinite.
        OperatorError: a check failed; the message names the likely cause.

    Source: Pearlmutter 1994.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        loss: PerSampleLoss | None = None,
        weights: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        micro_chunk: int | None = None,
        memory_budget: int = MEMORY_BUDGET,
        products: str = "auto",
        check: bool = True,
    ) -> None:
        self.device = torch.device(device) if device is not None else images.device
        if micro_chunk is None:
            micro_chunk = default_micro_chunk(images, self.device)
        _check_inputs(images, labels, weights, dtype, micro_chunk)
        self.dtype = dtype
        self.micro_chunk = micro_chunk
        self.memory_budget = memory_budget
        self.loss_function: PerSampleLoss = loss if loss is not None else CrossEntropy()
        self.model = copy.deepcopy(model).to(self.device, dtype).eval()
        self.names, self.parameters = [], []
        for name, parameter in self.model.named_parameters():
            parameter.grad = None
            if parameter.requires_grad:
                self.names.append(name)
                self.parameters.append(parameter)
        if not self.parameters:
            raise InputError("the model has no parameter with requires_grad; nothing to analyze")
        self.size = sum(p.numel() for p in self.parameters)
        self.images = images.detach().to(self.device, dtype, copy=True)
        self.labels = labels.detach().to(self.device, copy=True)
        kept = torch.ones(len(labels)) if weights is None else weights.detach()
        self.weights = kept.to(self.device, dtype, copy=True)
        self.total_weight = float(kept.double().sum())
        self.count = ImageCount()
        self._as_double = False
        self._forget()
        if check:
            check_losses(self)
        self.choice = Choice(products)
        if products == "auto":
            with exact_products(self.device):
                self.choice = choose(
                    self.model, self._sample_losses, self.images, self.labels, self.weights
                )
        self._products = make_products(self.choice.name, self.model, self._sample_losses)
        if check:
            check_products(self)
            check_derivatives(self._few_images())

    @property
    def num_images(self) -> int:
        """Number of frozen images."""
        return len(self.labels)

    def chunks(self) -> Iterator[slice]:
        """Yield the constant micro-chunks in index order; the last one may be ragged."""
        for start in range(0, self.num_images, self.micro_chunk):
            yield slice(start, min(start + self.micro_chunk, self.num_images))

    def matvec(self, v: Tensor) -> Tensor:
        """Return H v for ``v`` of shape (P,), in the operator's dtype."""
        self.check_vector(v)
        return self.matmat(v[None])[0]

    def matmat(self, vectors: Tensor) -> Tensor:
        """Return H v for each row of ``vectors``, shape (K, P): the primal work serves all of them.

        Each row is, to the last bit, what :meth:`matvec` returns for it.
        """
        return (self.sums(vectors) / self.total_weight).to(self.dtype)

    def sums(self, vectors: Tensor) -> Tensor:
        """Return Σ_i w_i ∇²ℓ_i v for each row v, shape (K, P), float64."""
        if vectors.ndim != 2 or vectors.shape[1] != self.size:
            raise InputError(f"vectors must have shape (K, {self.size}), got {vectors.shape}")
        rows = [self.named(v.to(self.device, self.dtype)) for v in vectors]
        total = torch.zeros((len(rows), self.size), dtype=torch.float64, device=self.device)

        def work(chunk: slice) -> list[Tensor]:
            hessian = self._linearised(chunk)
            return [self._flat(hessian.product(row)) for row in rows]

        with exact_products(self.device):  # its settings are the process's, so not in each worker
            for products in self._map(work):
                for k, product in enumerate(products):
                    total[k] += product
        images = len(rows) * self.num_images
        if self._as_double:
            self.count.double_products += images
        else:
            self.count.products += images
        return total

    def chunk_product(self, chunk: slice, v: Tensor) -> Tensor:
        """Return Σ_i w_i ∇²ℓ_i v over the images of ``chunk``, shape (P,), keeping nothing."""
        with exact_products(self.device):
            hessian = self._products.linearise(
                self.images[chunk], self.labels[chunk], self.weights[chunk]
            )
            return self._flat(hessian.product(self.named(v)))

    def gradient(self) -> Tensor:
        """Return the gradient of the mean loss, shape (P,), float64 sums of own-dtype chunks."""
        total = torch.zeros(self.size, dtype=torch.float64, device=self.device)
        with exact_products(self.device):
            for chunk in self.chunks():
                total += torch.cat([g.reshape(-1) for g in self._chunk_gradient(chunk)])
        return total / self.total_weight

    @torch.no_grad()
    def loss(self) -> float:
        """Return the weighted mean loss."""
        return float(sum(float(self.chunk_losses(c).double().sum()) for c in self.chunks())) / (
            self.total_weight
        )

    @torch.no_grad()
    def accuracy(self) -> float:
        """Return the fraction of the frozen images whose largest output is at their label."""
        right = [
            (self.model(self.images[c]).argmax(1) == self.labels[c]).sum() for c in self.chunks()
        ]
        return int(torch.stack(right).sum()) / self.num_images

    def chunk_losses(self, chunk: slice) -> Tensor:
        """Return w_i ℓ_i for the images of ``chunk``."""
        losses = self._sample_losses(self.model(self.images[chunk]), self.labels[chunk])
        return self.weights[chunk] * losses

    def scores(self) -> Tensor:
        """Return w_i ‖∂ℓ_i/∂outputs‖ for each image, shape (n,): how much it can bend the loss.

        Every term of an image's Hessian carries the first or the second derivative of ℓ_i with
        respect to the outputs; for cross-entropy both are of the size of 1 - p_y.

        Cost: one forward pass.
        """
        found = []
        for chunk in self.chunks():
            with torch.no_grad():
                outputs = self.model(self.images[chunk])
            outputs.requires_grad_()
            losses = self._sample_losses(outputs, self.labels[chunk])
            (slope,) = torch.autograd.grad(losses.sum(), outputs)
            found.append(self.weights[chunk].abs() * slope.flatten(1).norm(dim=1))
        self.count.forwards += self.num_images
        return torch.cat(found)

    def restricted(self, index: Tensor) -> "HessianOperator":
        """Return the part of H that the images ``index`` contribute: Σ_{i in index} w_i ∇²ℓ_i / Σ w.

        The weight of the whole stays in the denominator, so that the parts of a partition add up
        to H. Network, products and count are shared with this operator; kept work is not.

        Args:
            index: positions of images, int64 (k,), k >= 1.
        """
        part = copy.copy(self)
        index = index.to(self.device)
        part.images, part.labels = self.images[index], self.labels[index]
        part.weights = self.weights[index]
        part._forget()
        return part

    def in_float64(self) -> "HessianOperator":
        """Return the same operator in float64, unchecked; itself if it is in float64."""
        if self.dtype == torch.float64:
            return self
        double = HessianOperator(
            self.model,
            self.images,
            self.labels,
            loss=self.loss_function,
            weights=self.weights,
            dtype=torch.float64,
            micro_chunk=self.micro_chunk,
            memory_budget=0,
            products=self.choice.name,
            check=False,
        )
        double.total_weight = self.total_weight
        double.count, double._as_double = self.count, True
        return double

    def unflatten(self, v: Tensor) -> list[Tensor]:
        """Return ``v`` (P,) as one tensor a parameter, in the order of ``names``."""
        pieces = v.split([p.numel() for p in self.parameters])
        return [piece.view_as(p) for piece, p in zip(pieces, self.parameters, strict=True)]

    def named(self, v: Tensor) -> dict[str, Tensor]:
        """Return ``v`` (P,) as one tensor a parameter, by name."""
        return dict(zip(self.names, self.unflatten(v), strict=True))

    def forget(self) -> None:
        """Give back the memory of kept primal work; the next product does it again."""
        self._forget()

    def _few_images(self) -> "HessianOperator":
        """Return the operator of the first few images, in float64, unchecked and without cache."""
        few = slice(0, min(CHECKED_IMAGES, self.num_images))
        weights = self.weights[few]
        return HessianOperator(
            self.model,
            self.images[few],
            self.labels[few],
            loss=self.loss_function,
            weights=weights if weights.sum() > 0 else None,
            dtype=torch.float64,
            memory_budget=0,
            products=self.choice.name,
            check=False,
        )

    def _flat(self, named: dict[str, Tensor]) -> Tensor:
        pieces = [
            named[n].reshape(-1) if n in named else torch.zeros_like(p).reshape(-1)
            for n, p in zip(self.names, self.parameters, strict=True)
        ]
        return torch.cat(pieces)

    def _sample_losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        losses = self.loss_function(outputs, labels)
        if losses.shape != labels.shape:
            raise InputError(
                f"loss must return one value an image, shape {tuple(labels.shape)}, "
                f"got {tuple(losses.shape)}; use reduction='none'"
            )
        return losses

    @torch.enable_grad()
    def _chunk_gradient(self, chunk: slice) -> list[Tensor]:
        loss = self.chunk_losses(chunk).sum()
        if not loss.requires_grad:  # no parameter reaches the loss
            return [torch.zeros_like(p) for p in self.parameters]
        return list(torch.autograd.grad(loss, self.parameters, materialize_grads=True))

    def _map(self, work: Callable[[slice], list[Tensor]]) -> Iterator[list[Tensor]]:
        chunks = list(self.chunks())
        if self.device.type == "cpu" and self._products.on_many_cores:
            return map_in_order(work, chunks)
        return map(work, chunks)

    def _forget(self) -> None:
        self._kept: dict[int, ChunkHessian] = {}
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def _linearised(self, chunk: slice) -> ChunkHessian:
        """Return the chunk with its primal work done, kept for later while the budget lasts."""
        kept = self._kept.get(chunk.start)
        if kept is not None:
            return kept
        hessian = self._products.linearise(
            self.images[chunk], self.labels[chunk], self.weights[chunk]
        )
        with self._lock:
            if self._kept_bytes + hessian.nbytes <= self.memory_budget:
                self._kept_bytes += hessian.nbytes
                self._kept[chunk.start] = hessian
        return hessian


@contextlib.contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Keep out of the block what spoils second derivatives; put settings back.

    Fused attention has no second derivative; on CUDA, TF32 and non-deterministic convolutions.
    """
    with sdpa_kernel(SDPBackend.MATH):
        if device.type != "cuda":
            yield
            return
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            with torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ):
                yield
        finally:
            torch.set_float32_matmul_precision(precision)


def default_micro_chunk(images: Tensor, device: torch.device | None = None) -> int:
    """Return the images in one piece of work: 32 of 32x32 pixels (1024 on CUDA), 4 to 1024 in all."""
    pixels = images.shape[-1] * images.shape[-2] if images.ndim >= 3 else 1
    factor = CUDA_FACTOR if device is not None and device.type == "cuda" else 1
    return min(1024, max(4, factor * CHUNK_PIXELS // max(1, pixels)))


def class_hessian(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    classes: int | tuple[int, ...] | None,
    *,
    loss: PerSampleLoss | None = None,
    dtype: torch.dtype = torch.float32,
) -> HessianOperator:
    """Return the Hessian of the mean loss over the images of one class, of several, or of all.

    Args:
        model: maps images to outputs.
        images: normalised, (n, channels, h, w).
        labels: int64 (n,).
        classes: which labels to keep; None for every image.
        loss: per-sample loss; cross-entropy of the outputs where None.
        dtype: of the products.

    Raises:
        InputError: no image has such a label.
    """
    wanted = (classes,) if isinstance(classes, int) else classes
    if wanted is not None:
        keep = torch.isin(labels, torch.tensor(wanted, device=labels.device))
        if not keep.any():
            raise InputError(f"no image has a label among {list(wanted)}")
        images, labels = images[keep], labels[keep]
    return HessianOperator(model, images, labels, loss=loss, dtype=dtype)


def _check_inputs(
    images: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    dtype: torch.dtype,
    micro_chunk: int,
) -> None:
    if dtype not in (torch.float32, torch.float64):
        raise InputError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
    if not images.is_floating_point():
        raise InputError(f"images must be normalised floats, got {images.dtype}")
    if not len(images):
        raise InputError("there are no images; choose a class that has some")
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise InputError(
            f"labels must be int64 of shape ({len(images)},), got {labels.dtype} of shape "
            f"{tuple(labels.shape)}"
        )
    if int(labels.min()) < 0:
        raise InputError(f"labels must not be negative, got {int(labels.min())}")
    if micro_chunk < 1:
        raise InputError(f"micro_chunk must be at least 1, got {micro_chunk}")
    if not torch.isfinite(images).all():
        raise NonFiniteError("images hold NaN or infinity")
    if weights is not None and not (
        weights.shape == labels.shape and (weights >= 0).all() and 0 < weights.sum() < math.inf
    ):
        raise InputError(
            f"weights must be {len(images)} finite values >= 0 with a positive sum, got shape "
            f"{tuple(weights.shape)}"
        )
