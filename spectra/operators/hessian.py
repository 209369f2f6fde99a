"""The exact Hessian of a weighted mean of per-sample losses over frozen images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from spectra.errors import InputError, OperatorError
from spectra.objective.counting import ImageCount
from spectra.objective.network.failures import passes_of_network
from spectra.objective.network.own_copy import own_copy
from spectra.objective.per_sample import PerSampleLoss
from spectra.objective.plain_model import plain_model
from spectra.objective.samples.forward import Forward
from spectra.objective.short_memory import default_budget, largest_chunk, with_smaller_chunks
from spectra.operators.checks import (
    Derivatives,
    FewImages,
    check_as_given,
    check_derivatives,
    check_losses,
    check_products,
    check_separable,
    say_what_is_frozen,
)
from spectra.operators.chunked import ChunkedOperator
from spectra.operators.curvatures import curvatures
from spectra.operators.gauss_newton import GaussNewtonOperator
from spectra.products import (
    Choice,
    ExactProduct,
    KeptWork,
    Products,
    Tuning,
    choose,
    choose_by,
    make_products,
)
from spectra.products.measured import candidates, fastest, measure
from spectra.products.tuning import DEFAULT, MEASURED
from spectra.system.allocator import collect_large_garbage, map_large_blocks
from spectra.system.precision import float32_precision
from spectra.system.seeding import make_generator


class HessianOperator(ChunkedOperator):
    """H = Σ_i w_i ∇²ℓ_i / Σ_i w_i + c·1 over the trainable parameters, or some of them.

    The network and the images are copied when the operator is built: the caller's model keeps its
    mode, gradients, dtype and device, and later changes to it change nothing here. The copy runs
    in eval mode. Weight decay is part of H, of the loss and of its gradient where it is given; per-
    image curvatures are without it.

    Images are worked through in constant micro-chunks, summed in index order in float64: products
    do not depend on the memory budget. Tangent products of networks with convolutions work on
    several chunks at once, each on one core: they, and the gradient, do not depend on the number of
    cores either. The budget only decides for how many chunks the primal work (values, cotangents)
    is kept between products.

    How products are made is chosen when the operator is built (:func:`spectra.products.choose`): by
    a tangent pass over known layers, or by double backward; ``choice`` says which, and why not
    faster.

    Cost of a product: 6 forward passes over the images, 9 where the primal work is not kept.

    Args:
        model: maps images (n, ...) to outputs (n, C), or to something that holds them: an object or
            dictionary with ``logits``, a tuple whose first tensor they are. Buffers are frozen too.
        images: (n, ...), already normalised, or token ids; lazy ones are made again at every
            product. A tuple of such tensors goes to ``model(*images)``, a dictionary, such as of
            ids and a mask, to ``model(**images)``. Integers and truth values stay what they are.
        labels: integers (n,): a tensor, an array or a list.
        forward: makes what the model returns of model and images, such as
            ``lambda model, batch: model(batch)["scores"]``; it gets a tree as it is.
        loss: per-sample loss of outputs and labels, with class weights or without. For a network
            with a single output, (n, 1) or (n,), one that takes it, such as
            ``torch.nn.BCEWithLogitsLoss(reduction="none")``.
        weights: w_i >= 0, shape (n,); None for a plain mean over the images.
        dtype: of parameters, images and products: float32 or float64.
        device: where to compute; None: where model and images are, and where one of them is on an
            accelerator, there, which is said.
        parameters: a name or glob of parameters or modules, or several, such as ``layer3.*``: the
            others are held fixed; None: all that have ``requires_grad``. Tied parameters match by
            each of their names.
        micro_chunk: images in one piece of work; None: see
            :func:`spectra.objective.samples.chunk_size.default_chunk`, on a card halved until a
            chunk in work takes an eighth of the memory and half of what is free of it at most.
        memory_budget: bytes that kept primal work may take; None: 2 GiB, of a card half of what is
            free.
        products: ``auto``, or a key of :data:`spectra.products.WAYS`.
        tuning: how products are computed, apart from what they compute; ``measured``: layout and
            kernels are chosen by measuring them on the first chunk, where that is a tangent pass.
        check: see that the losses are fixed and each its image's own, and compare gradient and
            products, parameter by parameter, with central differences in float64, on four images.
        label: names the random streams of what is estimated, such as ``8`` for a class.
        weight_decay: c >= 0: ½ c ‖w‖² of the trainable parameters is added to the loss, as torch's
            SGD has it.

    Raises:
        InputError: shapes, labels or dtype are not as above, there are no images, or nothing
            matches ``parameters``.
        NonFiniteError: loss or gradient is NaN or infinite.
        OperatorError: a check failed; the message names the likely cause.

    Source: Pearlmutter 1994.

    Example:
        >>> net, images = torch.nn.Linear(3, 2), torch.randn(6, 3)
        >>> H = spectra.HessianOperator(net, images, torch.tensor([0, 1, 0, 1, 0, 1]))
        >>> H.names, H.size, (H @ torch.ones(8, 2)).shape
        (['weight', 'bias'], 8, torch.Size([8, 2]))
    """

    @passes_of_network()
    def __init__(
        self,
        model: nn.Module,
        images: Any,
        labels: Any,
        *,
        forward: Forward | None = None,
        loss: PerSampleLoss | None = None,
        weights: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        parameters: str | Sequence[str] | None = None,
        micro_chunk: int | None = None,
        memory_budget: int | None = None,
        products: str = "auto",
        tuning: Tuning | str = DEFAULT,
        check: bool = True,
        label: str = "",
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            model,
            images,
            labels,
            forward=forward,
            loss=loss,
            weights=weights,
            dtype=dtype,
            device=device,
            micro_chunk=micro_chunk,
            parameters=parameters,
        )
        self.label = label
        self.count = ImageCount()
        map_large_blocks(self.network_size * self.dtype.itemsize)
        if isinstance(tuning, str) and tuning != MEASURED:
            raise InputError(f"tuning must be a Tuning or {MEASURED!r}, got {tuning!r}")
        measured = isinstance(tuning, str)
        self.tuning = DEFAULT if isinstance(tuning, str) else tuning
        if memory_budget is None:
            memory_budget = default_budget(self.device)
        self._kept = KeptWork(memory_budget, trims=self.device.type == "cpu")
        if check and parameters is None:
            say_what_is_frozen(self.model)
        few = self._check_losses() if check else None
        if few is not None:
            with self._exact():
                check_as_given(self, plain_model(model))
        known = self._choose(products, few)
        collect_large_garbage(8 * self.network_size)  # of the copies that were compared
        self._products = self._made(self.tuning)
        if micro_chunk is None and self.device.type == "cuda":
            self.shrink_chunks(largest_chunk(self.device))
        if measured and self.choice.name == "tangent":
            self._measure()
        self.choice = replace(self.choice, tuning=self.tuning.describe())
        if few is not None:
            self._check_products(few, known, may_change=products == "auto")
            collect_large_garbage(8 * self.network_size)
        self._take_weight_decay(weight_decay)  # no check is of it

    @passes_of_network()
    def gauss_newton(self) -> GaussNewtonOperator:
        """Return G, the part of H that comes from how the loss bends; H - G is the rest.

        See :class:`spectra.operators.gauss_newton.GaussNewtonOperator`.

        Example:
            >>> import spectra
            >>> layers = torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
            >>> net = torch.nn.Sequential(*layers).double()
            >>> images, labels = torch.randn(6, 3).double(), torch.tensor([0, 1, 0, 1, 0, 1])
            >>> H = spectra.class_hessian(net, images, labels, 0, dtype=torch.float64)
            >>> G, v = H.gauss_newton(), torch.ones(H.size).double()
            >>> bool(v @ (G @ v) >= 0), torch.allclose(H @ v, G @ v + (H - G) @ v)
            (True, True)
        """
        self.check_point()
        return GaussNewtonOperator(self, way=self.choice.name)

    @with_smaller_chunks
    def curvatures(self, vectors: Tensor) -> Tensor:
        """Return vᵀ∇²ℓ_i v, without w_i, for each row v (K, P) and image i, shape (K, n), float64.

        Weight decay is no image's and has no part in them.
        See :func:`spectra.operators.curvatures.curvatures`.
        """
        self.check_point()
        return curvatures(self, vectors)

    @with_smaller_chunks
    @passes_of_network()
    def at(self, step: Tensor) -> Self:
        """Return the same operator at w + step, unchecked, with a network of its own.

        Images, counts and the budget for kept work are shared; products are made as at w.

        Args:
            step: shape (P,), parameter units.
        """
        self.check_point()
        if step.shape != (self.size,):
            raise InputError(f"step must have shape ({self.size},), got {tuple(step.shape)}")
        other = self._copied()
        other._take_network(own_copy(self.model, self.dtype))
        with torch.no_grad():
            pieces = other.unflatten(step.to(self.device, self.dtype))
            torch._foreach_add_(list[Tensor](other.parameters), pieces)
        other._products = other._made(self.tuning)
        return other

    def _made(self, tuning: Tuning) -> Products:
        with self._exact():  # reading a network runs it
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
    def _check_losses(self) -> FewImages:
        """Check the losses; return the images that all else is checked on."""
        with float32_precision(self.device, tf32=False):
            return FewImages(self, check_losses(self))

    def _choose(self, products: str, few: FewImages | None) -> Derivatives | None:
        """Choose how products are made by derivatives, which it returns where they are known."""
        known: Derivatives | None = None
        exact: ExactProduct | None = None
        if few is not None:
            double, known = self._check_derivatives(few)
            if known is not None:
                exact = ExactProduct(
                    double.model,
                    double.sample_losses,
                    double.images,
                    double.labels,
                    double.weights,
                    known.vector,
                    known.product,
                    double.total_weight,
                )
        self.choice = Choice(products)
        if products == "auto":
            with self._exact():
                if exact is not None:
                    self.choice = choose_by(exact, self.tuning)
                else:
                    given = self.images, self.labels, self.tuning
                    self.choice = choose(self.model, self.sample_losses, *given)
        return known

    @with_smaller_chunks
    def _check_derivatives(self, few: FewImages) -> tuple[ChunkedOperator, Derivatives | None]:
        """Check them; return the operator in float64 that has them, and them where they serve."""
        with float32_precision(self.device, tf32=False):
            double = few.in_float64(0)
            check_separable(double, next(double.chunks()))
            return double, check_derivatives(double)

    @with_smaller_chunks
    def _check_products(
        self, few: FewImages, known: Derivatives | None, *, may_change: bool
    ) -> None:
        """Check products; where those of a faster way are wrong, go over to double backward."""
        with float32_precision(self.device, tf32=False):
            try:
                check_products(few, known)
            except OperatorError as error:
                if not may_change or self.choice.name == "double-backward":
                    raise
                self.choice = Choice("double-backward", f"{self.choice.name}: {error}")
                self._products = self._made(self.tuning)
                check_products(few, known)
