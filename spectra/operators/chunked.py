"""A symmetric matrix that is a weighted sum over images, multiplied by chunk by chunk."""

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from spectra.objective.counting import ImageCount
from spectra.objective.frozen_loss import FrozenLoss
from spectra.objective.network.failures import passes_of_network
from spectra.objective.parameter_slices import ParameterSlices
from spectra.objective.short_memory import chunk_share, with_smaller_chunks
from spectra.objective.workers import map_in_order
from spectra.operators.interface import SymmetricOperator
from spectra.operators.scores import own_scores
from spectra.products import Choice, ChunkHessian, KeptWork, Products, Tuning
from spectra.system.allocator import collect_large_garbage
from spectra.system.exact import exact_products
from spectra.system.memory.pieces import add_to

# Ours: images on which a chunk's primal work is measured, and, on a card, that of one image.
_MEASURED_IMAGES, _FEW_IMAGES = 64, 8
_NO_SIZES = torch.zeros(0)

T = TypeVar("T")


class ChunkedOperator(FrozenLoss, SymmetricOperator):
    """Σ_i w_i M_i / Σ_i w_i + c·1, M_i an image's: what Hessian and Gauss-Newton matrix share.

    Images are worked through in constant micro-chunks, whose products are summed in index order in
    float64. The primal work of chunks is kept between products while its budget lasts. Operators
    that are made of this one share its network, products, count and that budget.

    Attributes:
        count: of the images worked on, shared by all operators that were made of one.
        choice: how products are made.
        tuning: how products are computed, apart from what they compute.
    """

    parameter_slices: ParameterSlices
    count: ImageCount
    choice: Choice
    tuning: Tuning
    _products: Products
    _kept: KeptWork
    _beside_float32: bool = False
    _double: Self | None = None

    @abstractmethod
    def _made(self, tuning: Tuning) -> Products:
        """Return products of this operator's network and loss."""

    @property
    def memory_budget(self) -> int:
        """Bytes that kept primal work may take, together with that of parts."""
        return self._kept.budget

    def with_memory_budget(self, nbytes: int) -> Self:
        """Return the same operator with ``nbytes`` for primal work that is kept; none is yet.

        What this one keeps stays until :meth:`forget`.
        """
        return self._copied(_kept=KeptWork(nbytes, trims=self.device.type == "cpu"))

    def with_label(self, label: str) -> Self:
        """Return the same operator with another name for its random streams."""
        return self._copied(label=label)

    def _copied(self, **changes: Any) -> Self:
        """Return another in the fields named, with room of its own for kept work, in one budget.

        Of its own even where images are the same: how they are cut into chunks may become another.
        """
        return super()._copied(**{"_kept": self._kept.beside(), "_double": None, **changes})

    @with_smaller_chunks
    def in_float64(self) -> Self:
        """Return the same operator in float64, unchecked; itself if it is in float64."""
        self.check_point()
        known = self if self.dtype == torch.float64 else self._double
        if known is not None:
            return known
        collect_large_garbage(8 * self.network_size)  # such as another one of these
        double = self._in_float64()
        # As many bytes in work as in float32; on a CPU, what convolutions unfold fits the cache.
        double.micro_chunk = max(1, self.micro_chunk // (2 if self.device.type == "cuda" else 16))
        double._kept = self._kept.beside(keeps=False)  # what is kept gives way where memory ends
        double._beside_float32 = True
        double._products = double._made(self.tuning)
        return double

    @property
    def on_many_cores(self) -> bool:
        """Whether several chunks are worked on at once, each on one core."""
        return self.device.type == "cpu" and self._products.on_many_cores

    @property
    def tells_images_apart(self) -> bool:
        """Whether a pass has second derivatives by image, as an exact pass over all takes."""
        return bool(self._products.tells_images_apart)

    @property
    def vectors_a_pass(self) -> int:  # type: ignore[override]
        """How many vectors :meth:`matmat` takes together."""
        return self.tuning.stacked if self._products.stacks else 1

    def matvec(self, v: Tensor) -> Tensor:
        """Return H v for ``v`` of shape (P,), in the operator's dtype."""
        self.check_vector(v)
        return self.matmat(v[None])[0]

    def matmat(self, vectors: Tensor) -> Tensor:
        """Return H v for each row of ``vectors``, shape (K, P): the primal work serves all of them.

        Each row is, to the last bit, what :meth:`matvec` returns; to rounding where it is stacked.
        """
        total = self._world.add_up(self._summed_products(vectors)[0])
        return self._decayed(total.div_(self.total_weight), vectors).to(self.dtype)

    def scaled_products(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return H v for each row of ``vectors``, and what its rounding is measured against.

        Args:
            vectors: shape (K, P).

        Returns:
            H v, shape (K, P), and Σ_c ‖Σ_{i in c} w_i M_i v‖ / Σ w over the chunks c, shape (K,);
            both float64. The second is what the products would amount to if nothing cancelled
            between chunks; that of weight decay is added to both.
        """
        total, scales = map(self._world.add_up, self._summed_products(vectors, scaled=True))
        return self._decayed(total.div_(self.total_weight), vectors), scales / self.total_weight

    @with_smaller_chunks
    def _summed_products(self, vectors: Tensor, *, scaled: bool = False) -> tuple[Tensor, Tensor]:
        """Return Σ w_i M_i v of this rank, (K, P), and where asked for the sizes of terms, (K,)."""
        self.check_vectors(vectors)
        total = torch.zeros(vectors.shape, dtype=torch.float64, device=self.device)
        scales = total.new_zeros(len(vectors)) if scaled else _NO_SIZES
        if scaled and self._world.first:
            scales += self.decay * self.total_weight * vectors.to(total).norm(dim=1)
        for products in self._chunk_products(vectors):
            for k, product in enumerate(products):
                add_to(total[k], product)
                if scaled:
                    scales[k] += product.double().norm()
        return total, scales

    def second_derivatives(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return vᵀHv of each row of ``vectors``, (K, P), and what it is rounded against.

        Cost: half a product for each where products are made by a tangent pass, else a product.

        Returns:
            vᵀHv and the sum of the sizes of its terms over layers and chunks, (K,), both float64.

        Source: Griewank & Walther, Evaluating Derivatives, 2nd ed., chapter 13.
        """
        self.check_vectors(vectors)
        if not self._products.derives_twice:
            products, scales = self.scaled_products(vectors)
            vectors = vectors.to(self.device, self.dtype).double()
            return (vectors * products).sum(1), scales * vectors.norm(dim=1)
        values, sizes = self._world.add_up(self._summed_derivatives(vectors)) / self.total_weight
        images = len(vectors) * self.num_images
        self.count.add_second_derivatives(images, beside_float32=self._beside_float32)
        decayed = self.decay * vectors.to(values).square().sum(1)
        return values + decayed, sizes + decayed

    @with_smaller_chunks
    def _summed_derivatives(self, vectors: Tensor) -> Tensor:
        """Return Σ w_i vᵀM_i v over this rank's images, and its sizes, (2, K), float64."""
        self.check_point()
        directions = [self._products.direction(group) for group in self._groups(vectors)]

        def work(chunk: slice) -> Tensor:
            made = self._linearised(chunk)
            return torch.cat([made.second_derivatives(direction) for direction in directions], 1)

        with self._exact():
            found = list(self._map(work))
        empty = torch.zeros((2, len(vectors)), dtype=torch.float64, device=self.device)
        return torch.stack(found).sum(0) if found else empty

    def scores(self) -> Tensor:
        """Return w_i ‖∂ℓ_i/∂outputs‖ for each image, shape (n,): how much curvature it can add.

        Every term of an image's matrix carries the first or the second derivative of ℓ_i with
        respect to the outputs; for cross-entropy both are of the size of 1 - p_y.

        Cost: one forward pass.
        """
        found = self._of_all(own_scores(self))
        self.count.forwards += self.num_images
        return found

    def count_passes(self, passes: int) -> None:
        """Count forward passes over the images that somebody makes with this operator's network."""
        self.count.forwards += passes * self.num_images * (2 if self._beside_float32 else 1)

    @passes_of_network()
    def chunk_product(self, chunk: slice, v: Tensor) -> Tensor:
        """Return Σ_i w_i (M_i + c·1) v over the images of ``chunk``, (P,), keeping nothing."""
        self.check_point()
        with self._exact():
            made = self._products.linearise(
                self.images[chunk], self.labels[chunk], self.weights[chunk]
            )
            product = made.product(self._products.direction(v))
        return product + self.weight_decay * self.weights[chunk].sum() * v.to(product)

    def forget(self) -> None:
        """Give back the memory of kept primal work; the next product does it again."""
        self._kept.forget()

    @property
    def keeps_work(self) -> bool:
        """Whether memory holds primal work, of this operator or of those who share its budget."""
        return self._kept.held > 0

    def make_room(self) -> None:
        """Work in chunks of half as many images from here on, and keep half as much of their work.

        What is kept may be what took the memory. Beside :meth:`forget` and :meth:`shrink_chunks`
        it is all that changes in an operator, and moves products by rounding.
        """
        if self.keeps_work:  # else it was not what took the memory
            self._kept.budget = min(self.memory_budget, self._kept.held) // 2
            self._kept.forget_all()
        super().make_room()

    def shrink_chunks(self, nbytes: int) -> None:
        """Halve the chunks until one in work takes at most ``nbytes``, or is one image.

        Cost: the primal work of 8 images.
        """
        each = max(1, self._primal_nbytes(_FEW_IMAGES) * chunk_share(self.vectors_a_pass))
        before, chunk = self.micro_chunk, min(self.micro_chunk, self.num_images)
        while chunk > 1 and chunk * each > nbytes:
            chunk //= 2
        if chunk < min(before, self.num_images):
            self.micro_chunk = chunk
            self.forget()

    def chunk_nbytes(self, images: int | None = None) -> int:
        """Return the bytes that the primal work of one chunk takes, or that of the first images.

        Cost: that of 64 images at most.
        """
        images = images or min(self.micro_chunk, self.num_images)
        return self._primal_nbytes(min(images, _MEASURED_IMAGES), images)

    def _primal_nbytes(self, measured: int, images: int = 1) -> int:
        """Return the primal work of ``images``, as it is for ``measured`` of them at most."""
        few = slice(0, min(measured, self.num_images, self.micro_chunk))
        with self._exact():
            made = self._products.linearise(self.images[few], self.labels[few], self.weights[few])
        return made.nbytes * images // few.stop

    def _chunk_products(self, vectors: Tensor) -> Iterator[list[Tensor]]:
        """Yield Σ_{i in c} w_i M_i v for each row v, chunk by chunk in their order."""
        self.check_point()
        directions = [self._products.direction(group) for group in self._groups(vectors)]

        def work(chunk: slice) -> list[Tensor]:
            made = self._linearised(chunk)
            products = [made.product(direction) for direction in directions]
            return [row for product in products for row in product.view(-1, self.size)]

        with self._exact():  # its settings are the process's, so not in each worker
            yield from self._map(work)
        self.count.add_products(len(vectors) * self.num_images, beside_float32=self._beside_float32)

    def _groups(self, vectors: Tensor) -> list[Tensor]:
        """Return the vectors that a pass takes together, (k, P), or (P,) where it is one."""
        groups = vectors.to(self.device, self.dtype).split(self.vectors_a_pass)
        return [group[0] if len(group) == 1 else group for group in groups]

    def _exact(self) -> contextlib.AbstractContextManager[None]:
        t = self.tuning
        return exact_products(self.device, deterministic=t.deterministic, benchmark=t.benchmark)

    def _map(self, work: Callable[[slice], T]) -> Iterator[T]:
        chunks = list(self.chunks())
        if self.on_many_cores:
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
