"""The exact Hessian of a weighted mean of per-sample losses over frozen images."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from spectra.errors import InputError
from spectra.objective.counting import ImageCount
from spectra.objective.frozen_loss import FrozenLoss
from spectra.objective.images import LazyImages, frozen, select
from spectra.objective.per_sample import PerSampleLoss
from spectra.objective.placement import place
from spectra.objective.short_memory import (
    chunk_share,
    default_budget,
    largest_chunk,
    with_smaller_chunks,
)
from spectra.objective.workers import default_micro_chunk, map_in_order
from spectra.operators.checks import CHECKED_IMAGES, check_derivatives, check_losses, check_products
from spectra.operators.curvatures import curvatures
from spectra.operators.interface import SymmetricOperator
from spectra.products import Choice, ChunkHessian, KeptWork, Products, Tuning, choose, make_products
from spectra.products.measured import candidates, fastest, measure
from spectra.products.tuning import DEFAULT, MEASURED
from spectra.system.exact import exact_products
from spectra.system.precision import float32_precision
from spectra.system.seeding import make_generator

# Images on which the primal work of one is measured.
_MEASURED_IMAGES = 8

T = TypeVar("T")


class HessianOperator(FrozenLoss, SymmetricOperator):
    """H = Σ_i w_i ∇²ℓ_i / Σ_i w_i over the trainable parameters.

    The network and the images are copied when the operator is built: the caller's model keeps its
    mode, gradients, dtype and device, and later changes to it change nothing here. The copy runs
    in eval mode. Weight decay is not part of H.

    Images are worked through in constant micro-chunks, summed in index order in float64: products
    do not depend on the memory budget. Tangent products of networks with convolutions take a chunk
    a core, each on one thread: they, and the gradient, do not depend on the number of cores either.
    The budget only decides for how many chunks the primal work (values, cotangents) is kept between
    products.

    How products are made is chosen when the operator is built (:func:`spectra.products.choose`): by
    a tangent pass over known layers, by ``torch.func.linearize`` of the gradient, or by double
    backward; ``choice`` says which, and why not faster.

    Cost of a product: 6 forward passes over the images, 9 where the primal work is not kept.

    Args:
        model: maps images (n, ...) to outputs (n, C). Buffers are frozen too.
        images: (n, ...), already normalised; lazy ones are made again at every product.
        labels: int64 (n,).
        loss: per-sample loss of outputs and labels.
        weights: w_i >= 0, shape (n,); None for a plain mean over the images.
        dtype: of parameters, images and products: float32 or float64.
        device: where to compute; None: where model and images are, and where one of them is on an
            accelerator, there, which is said.
        micro_chunk: images in one piece of work; None: :func:`default_micro_chunk`, on a card
            halved until a chunk in work takes an eighth of the memory and half of what is free of
            it at most.
        memory_budget: bytes that kept primal work may take; None: 2 GiB, of a card half of what is
            free.
        products: ``auto``, or a key of :data:`spectra.products.WAYS`.
        tuning: how products are computed, apart from what they compute; ``measured``: layout and
            kernels are chosen by measuring them on the first chunk, where that is a tangent pass.
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
        images: Tensor | LazyImages,
        labels: Tensor,
        *,
        loss: PerSampleLoss | None = None,
        weights: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        micro_chunk: int | None = None,
        memory_budget: int | None = None,
        products: str = "auto",
        tuning: Tuning | str = DEFAULT,
        check: bool = True,
    ) -> None:
        device = place(model, images, device)
        fitted = micro_chunk is None and device.type == "cuda"
        if micro_chunk is None:
            micro_chunk = default_micro_chunk(images, device)
        super().__init__(
            model,
            images,
            labels,
            loss=loss,
            weights=weights,
            dtype=dtype,
            device=device,
            micro_chunk=micro_chunk,
        )
        self.count = ImageCount()
        self._beside_float32 = False
        if isinstance(tuning, str) and tuning != MEASURED:
            raise InputError(f"tuning must be a Tuning or {MEASURED!r}, got {tuning!r}")
        measured = isinstance(tuning, str)
        self.tuning = DEFAULT if isinstance(tuning, str) else tuning
        if memory_budget is None:
            memory_budget = default_budget(device)
        self._kept = KeptWork(memory_budget, trims=device.type == "cpu")
        if check:
            self._check(check_losses)
        self.choice = Choice(products)
        if products == "auto":
            with self._exact():
                self.choice = choose(
                    self.model,
                    self.sample_losses,
                    self.images,
                    self.labels,
                    self.weights,
                    self.tuning,
                )
        self._products = self._made(self.tuning)
        if fitted:
            self.shrink_chunks(largest_chunk(device))
        if measured and self.choice.name == "tangent":
            self._measure()
        self.choice = replace(self.choice, tuning=self.tuning.describe())
        if check:
            self._check(check_products)
            check_derivatives(self._few_images())

    @property
    def memory_budget(self) -> int:
        """Bytes that kept primal work may take, together with that of parts."""
        return self._kept.budget

    @memory_budget.setter
    def memory_budget(self, value: int) -> None:
        self._kept.budget = value

    @property
    def vectors_a_pass(self) -> int:  # type: ignore[override]
        """How many vectors :meth:`matmat` takes together."""
        return self.tuning.stacked if self._products.stacks else 1

    def matvec(self, v: Tensor) -> Tensor:
        """Return H v for ``v`` of shape (P,), in the operator's dtype."""
        self.check_vector(v)
        return self.matmat(v[None])[0]

    @with_smaller_chunks
    def matmat(self, vectors: Tensor) -> Tensor:
        """Return H v for each row of ``vectors``, shape (K, P): the primal work serves all of them.

        Each row is, to the last bit, what :meth:`matvec` returns for it; to rounding where
        ``tuning`` stacks vectors.
        """
        total = self._empty_sums(vectors)
        for products in self._chunk_products(vectors):
            for row, product in zip(total, products, strict=True):
                row += product
        return (total / self.total_weight).to(self.dtype)

    @with_smaller_chunks
    def scaled_products(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return H v for each row of ``vectors``, and what its rounding is measured against.

        Args:
            vectors: shape (K, P).

        Returns:
            H v, shape (K, P), and Σ_c ‖Σ_{i in c} w_i ∇²ℓ_i v‖ / Σ w over the chunks c, shape (K,);
            both float64. The second is what the products would amount to if nothing cancelled
            between chunks.
        """
        total = self._empty_sums(vectors)
        scales = torch.zeros(len(vectors), dtype=torch.float64, device=self.device)
        for products in self._chunk_products(vectors):
            for k, product in enumerate(products):
                total[k] += product
                scales[k] += product.double().norm()
        return total / self.total_weight, scales / self.total_weight

    @with_smaller_chunks
    def curvatures(self, vectors: Tensor) -> Tensor:
        """Return vᵀ∇²ℓ_i v, without w_i, for each row v (K, P) and image i, shape (K, n), float64.

        See :func:`spectra.operators.curvatures.curvatures`.
        """
        return curvatures(self, vectors)

    def chunk_product(self, chunk: slice, v: Tensor) -> Tensor:
        """Return Σ_i w_i ∇²ℓ_i v over the images of ``chunk``, shape (P,), keeping nothing."""
        with self._exact():
            hessian = self._products.linearise(
                self.images[chunk], self.labels[chunk], self.weights[chunk]
            )
            return hessian.product(self._products.direction(v))

    @with_smaller_chunks
    def scores(self) -> Tensor:
        """Return w_i ‖∂ℓ_i/∂outputs‖ for each image, shape (n,): how much it can bend the loss.

        Every term of an image's Hessian carries the first or the second derivative of ℓ_i with
        respect to the outputs; for cross-entropy both are of the size of 1 - p_y.

        Cost: one forward pass.
        """
        with float32_precision(self.device, tf32=False):
            found = torch.cat(list(self._map(self._chunk_scores)))
        self.count.forwards += self.num_images
        return found

    def restricted(self, index: Tensor) -> "HessianOperator":
        """Return what the images ``index`` contribute to H: Σ_{i in index} w_i ∇²ℓ_i / Σ w.

        The weight of the whole stays in the denominator, so that the parts of a partition add up
        to H. Network, products, count and the budget for kept work are shared with this operator.

        Args:
            index: positions of images, int64 (k,), k >= 1.
        """
        part = copy.copy(self)
        index = index.to(self.device)
        part.images = select(self.images, index)
        part.labels, part.weights = self.labels[index], self.weights[index]
        part._kept = self._kept.beside()
        return part

    @with_smaller_chunks
    def in_float64(self) -> "HessianOperator":
        """Return the same operator in float64, unchecked; itself if it is in float64."""
        if self.dtype == torch.float64:
            return self
        # On a card, as many bytes in work as in float32, beside what that keeps. On a CPU, float64
        # convolutions unfold their input, which has to stay in the cache.
        chunk = max(1, self.micro_chunk // (2 if self.device.type == "cuda" else 16))
        double = HessianOperator(
            self.model,
            self.images,
            self.labels,
            loss=self.loss_function,
            weights=self.weights,
            dtype=torch.float64,
            micro_chunk=chunk,
            memory_budget=0,
            products=self.choice.name,
            tuning=self.tuning,
            check=False,
        )
        double.total_weight = self.total_weight
        # It keeps nothing, but where memory ends, what this operator keeps gives way.
        double._kept = self._kept.beside(keeps=False)
        double.count, double._beside_float32 = self.count, True
        return double

    def replace_images(self, images: Tensor) -> None:
        """Take other images of the same shape; labels and weights stay.

        Raises:
            InputError: the shape is another.
        """
        if images.shape != self.images.shape:
            raise InputError(
                f"images must have shape {tuple(self.images.shape)}, got {tuple(images.shape)}"
            )
        self.images = frozen(images, self.device, self.dtype)
        self.forget()

    def forget(self) -> None:
        """Give back the memory of kept primal work; the next product does it again."""
        self._kept.forget()

    @property
    def keeps_work(self) -> bool:
        """Whether memory holds primal work, of this operator or of those who share its budget."""
        return self._kept.held > 0

    def make_room(self) -> None:
        """Work in chunks of half as many images from here on, and keep half as much of their work.

        Asked for where memory ended: what is kept may be what took it.
        """
        if self.keeps_work:  # else it was not what took the memory
            self.memory_budget = min(self.memory_budget, self._kept.held) // 2
            self._kept.forget_all()
        super().make_room()

    def shrink_chunks(self, nbytes: int) -> None:
        """Halve the chunks until one in work takes at most ``nbytes``, or is one image.

        Cost: the primal work of 8 images.
        """
        each = max(1, self._image_nbytes() * chunk_share(self.vectors_a_pass))
        before, chunk = self.micro_chunk, min(self.micro_chunk, self.num_images)
        while chunk > 1 and chunk * each > nbytes:
            chunk //= 2
        if chunk < min(before, self.num_images):
            self.micro_chunk = chunk
            self.forget()

    def _image_nbytes(self) -> int:
        """Return the primal work of an image, measured on a few."""
        few = slice(0, min(_MEASURED_IMAGES, self.num_images, self.micro_chunk))
        with self._exact():
            made = self._products.linearise(self.images[few], self.labels[few], self.weights[few])
        return made.nbytes // (few.stop - few.start)

    def check_vectors(self, vectors: Tensor) -> None:
        """Raise InputError unless ``vectors`` has shape (K, P)."""
        if vectors.ndim != 2 or vectors.shape[1] != self.size:
            raise InputError(
                f"vectors must have shape (K, {self.size}), got {tuple(vectors.shape)}"
            )

    def _empty_sums(self, vectors: Tensor) -> Tensor:
        self.check_vectors(vectors)
        return torch.zeros(vectors.shape, dtype=torch.float64, device=self.device)

    def _chunk_products(self, vectors: Tensor) -> Iterator[list[Tensor]]:
        """Yield Σ_{i in c} w_i ∇²ℓ_i v for each row v, chunk by chunk in their order."""
        directions = [self._products.direction(group) for group in self._groups(vectors)]

        def work(chunk: slice) -> list[Tensor]:
            hessian = self._linearised(chunk)
            products = [hessian.product(direction) for direction in directions]
            return [row for product in products for row in product.view(-1, self.size)]

        with self._exact():  # its settings are the process's, so not in each worker
            yield from self._map(work)
        self.count.add_products(len(vectors) * self.num_images, beside_float32=self._beside_float32)

    def _groups(self, vectors: Tensor) -> list[Tensor]:
        """Return the vectors that a pass takes together, (k, P), or (P,) where it is one."""
        vectors = vectors.to(self.device, self.dtype)
        groups = vectors.split(self.vectors_a_pass)
        return [group[0] if len(group) == 1 else group for group in groups]

    def _exact(self) -> contextlib.AbstractContextManager[None]:
        tuning = self.tuning
        return exact_products(
            self.device, deterministic=tuning.deterministic, benchmark=tuning.benchmark
        )

    def _made(self, tuning: Tuning) -> Products:
        return make_products(self.choice.name, self.model, self.sample_losses, tuning)

    @with_smaller_chunks
    def _measure(self) -> None:
        """Take the fastest layout and kernels of the first chunk."""
        chunk = next(self.chunks())
        batch = self.images[chunk], self.labels[chunk], self.weights[chunk]
        generator = make_generator(0, "measured products")
        vector = torch.randn(self.size, generator=generator).to(self.device, self.dtype)
        found = measure(self._made, batch, vector, candidates(self.device))
        self.tuning = fastest(found, self.dtype)
        self._products = self._made(self.tuning)

    @with_smaller_chunks
    def _check(self, check: Callable[["HessianOperator"], None]) -> None:
        with float32_precision(self.device, tf32=False):
            check(self)

    @torch.no_grad()
    def _few_images(self) -> "HessianOperator":
        """Return the operator of a few images, in float64, unchecked and without cache.

        Those of the largest loss: on images fitted to rounding, differences show nothing else.
        """
        with float32_precision(self.device, tf32=False):
            losses = torch.cat([self.chunk_losses(chunk) for chunk in self.chunks()])
        # Not counted: a run checks its first loss alone, and a resumed run's first is another.
        few = losses.argsort(descending=True, stable=True)[:CHECKED_IMAGES].sort().values
        weights = self.weights[few]
        return HessianOperator(
            self.model,
            select(self.images, few),
            self.labels[few],
            loss=self.loss_function,
            weights=weights if weights.sum() > 0 else None,
            dtype=torch.float64,
            memory_budget=0,
            products=self.choice.name,
            tuning=self.tuning,
            check=False,
        )

    @torch.enable_grad()
    def _chunk_scores(self, chunk: slice) -> Tensor:
        with torch.no_grad():
            outputs = self.model(self.images[chunk])
        outputs.requires_grad_()
        losses = self.sample_losses(outputs, self.labels[chunk])
        (slope,) = torch.autograd.grad(losses.sum(), outputs)
        return self.weights[chunk].abs() * slope.flatten(1).norm(dim=1)

    def _map(self, work: Callable[[slice], T]) -> Iterator[T]:
        chunks = list(self.chunks())
        if self.device.type == "cpu" and self._products.on_many_cores:
            return map_in_order(work, chunks)
        return map(work, chunks)

    def _linearised(self, chunk: slice) -> ChunkHessian:
        """Return the chunk with its primal work done, kept for later while the budget lasts."""
        return self._kept.get(
            chunk.start,
            lambda: self._products.linearise(
                self.images[chunk], self.labels[chunk], self.weights[chunk]
            ),
        )
