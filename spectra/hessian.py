"""The exact Hessian of a weighted mean of per-sample losses over frozen images."""

import contextlib
import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from spectra.checks import CHECKED_IMAGES, check_derivatives, check_operator
from spectra.errors import InputError, NonFiniteError
from spectra.losses import CrossEntropy, PerSampleLoss
from spectra.operators import SymmetricOperator

# Ours: the pixels of 128 CIFAR images, which keep two cores busy and take about 1 GB of graph on a
# ResNet-32. The chunk fixes the order of summation, so changing it moves results by rounding.
CHUNK_PIXELS = 128 * 32 * 32
# Ours: what a laptop can spare.
MEMORY_BUDGET = 2 * 2**30


class HessianOperator(SymmetricOperator):
    """H = Σ_i w_i ∇²ℓ_i / Σ_i w_i over the trainable parameters, by double backward.

    The network and the images are copied when the operator is built: the caller's model keeps its
    mode, gradients, dtype and device, and later changes to it change nothing here. The copy runs
    in eval mode. Weight decay is not part of H.

    Images are worked through in constant micro-chunks, summed in index order in float64, so that
    the result does not depend on the memory budget; the budget only decides for how many chunks
    the graph of the gradient is kept between products (about 1.5 times faster), not how it is
    computed.

    Cost of a product: about 9 forward passes over the images, 6 where the graph is kept.

    Args:
        model: maps images (n, ...) to outputs (n, C). Buffers are frozen too.
        images: (n, ...), already normalised.
        labels: int64 (n,).
        loss: per-sample loss of outputs and labels.
        weights: w_i >= 0, shape (n,); None for a plain mean over the images.
        dtype: of parameters, images and products: float32 or float64.
        device: where to compute; None: where ``images`` are.
        micro_chunk: images in one piece of work; None: :func:`default_micro_chunk`.
        memory_budget: bytes that kept graphs may take.
        check: probe the first chunk: is it a fixed, symmetric matrix, the derivative of the
            gradient of a loss that is a mean over images? (float64 central differences)

    Raises:
        InputError: shapes, labels or dtype are not as above, or there are no images.
        NonFiniteError: loss or gradient is NaN or infinite.
        OperatorError: a check failed; the message names the likely cause.

    Source: Pearlmutter 1994, as double backward.
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
        check: bool = True,
    ) -> None:
        if micro_chunk is None:
            micro_chunk = default_micro_chunk(images)
        _check_inputs(images, labels, weights, dtype, micro_chunk)
        self.device = torch.device(device) if device is not None else images.device
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
        self._kept_graphs: dict[int, list[Tensor]] = {}
        self._graph_bytes: int | None = None
        if check:
            check_operator(self)
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
        vectors = self.unflatten(v.to(self.device, self.dtype))
        total = torch.zeros(self.size, dtype=torch.float64, device=self.device)
        with _full_precision(self.device):
            for chunk in self.chunks():
                total += self._chunk_product(chunk, vectors)
        return (total / self.total_weight).to(self.dtype)

    def gradient(self) -> Tensor:
        """Return the gradient of the mean loss, shape (P,), float64 sums of own-dtype chunks."""
        total = torch.zeros(self.size, dtype=torch.float64, device=self.device)
        with _full_precision(self.device):
            for chunk in self.chunks():
                total += self._flatten(self._chunk_gradient(chunk, create_graph=False))
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
        losses = self.loss_function(self.model(self.images[chunk]), self.labels[chunk])
        if losses.shape != self.labels[chunk].shape:
            raise InputError(
                f"loss must return one value an image, shape {tuple(self.labels[chunk].shape)}, "
                f"got {tuple(losses.shape)}; use reduction='none'"
            )
        return self.weights[chunk] * losses

    def unflatten(self, v: Tensor) -> list[Tensor]:
        """Return ``v`` (P,) as one tensor a parameter, in the order of ``names``."""
        pieces = v.split([p.numel() for p in self.parameters])
        return [piece.view_as(p) for piece, p in zip(pieces, self.parameters, strict=True)]

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
            check=False,
        )

    def _flatten(self, tensors: list[Tensor]) -> Tensor:
        return torch.cat([t.reshape(-1) for t in tensors])

    @torch.enable_grad()
    def _chunk_gradient(self, chunk: slice, *, create_graph: bool) -> list[Tensor]:
        loss = self.chunk_losses(chunk).sum()
        if not loss.requires_grad:  # no parameter reaches the loss
            return [torch.zeros_like(p) for p in self.parameters]
        gradients = torch.autograd.grad(
            loss, self.parameters, create_graph=create_graph, materialize_grads=True
        )
        return list(gradients)

    @torch.enable_grad()
    def _chunk_product(self, chunk: slice, vectors: list[Tensor]) -> Tensor:
        gradients = self._kept_graphs.get(chunk.start)
        if gradients is None:
            gradients = self._differentiable_gradient(chunk)
        # A gradient that does not depend on the parameters has no graph: its Hessian rows are 0.
        pairs = [(g, v) for g, v in zip(gradients, vectors, strict=True) if g.requires_grad]
        if not pairs:
            return torch.zeros(self.size, dtype=torch.float64, device=self.device)
        products = torch.autograd.grad(
            [g for g, _ in pairs],
            self.parameters,
            grad_outputs=[v for _, v in pairs],
            retain_graph=chunk.start in self._kept_graphs,
            materialize_grads=True,
        )
        return self._flatten(list(products)).double()

    def _differentiable_gradient(self, chunk: slice) -> list[Tensor]:
        """Return the chunk's gradient with its graph, kept for later while the budget lasts."""
        if self._graph_bytes is None:
            gradients, self._graph_bytes = self._measured_gradient(chunk)
        else:
            gradients = self._chunk_gradient(chunk, create_graph=True)
        if (len(self._kept_graphs) + 1) * self._graph_bytes <= self.memory_budget:
            self._kept_graphs[chunk.start] = gradients
        return gradients

    def _measured_gradient(self, chunk: slice) -> tuple[list[Tensor], int]:
        """Return the chunk's gradient and the bytes of the tensors that its graph holds."""
        storages: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            self._chunk_gradient(chunk, create_graph=True)
        # Hooks stay alive with the graph that they made; build the one that is used without them.
        return self._chunk_gradient(chunk, create_graph=True), sum(storages.values())


@contextlib.contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """On CUDA, keep TF32 and non-deterministic convolutions out of the block; put settings back."""
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


def default_micro_chunk(images: Tensor) -> int:
    """Return the images in one piece of work: 128 of 32x32 pixels, between 16 and 1024 in all."""
    pixels = images.shape[-1] * images.shape[-2] if images.ndim >= 3 else 1
    return min(1024, max(16, CHUNK_PIXELS // max(1, pixels)))


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
