"""A weighted mean of per-sample losses over frozen images, as a function of the parameters."""

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from spectra.errors import InputError, OperatorError
from spectra.objective.images import LazyImages, frozen, select
from spectra.objective.inputs import check_inputs, check_weights
from spectra.objective.network.as_found import ParametersInPlace
from spectra.objective.network.own_copy import own_copy
from spectra.objective.network.perturbed import perturbed
from spectra.objective.parameter_slices import ParameterSlices, train_alone
from spectra.objective.per_sample import PerSampleLoss, checked_losses, loss_on
from spectra.objective.placement import place
from spectra.objective.plain_model import plain_model
from spectra.objective.short_memory import with_smaller_chunks
from spectra.system.allocator import give_back_free_memory
from spectra.system.exact import check_mode, exact_products
from spectra.system.precision import float32_precision

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass
class _Displacement:
    """Whether parameters, which a loss shares with what is made of it, are away from w just now."""

    now: bool = False


class FrozenLoss:
    """L(w) = Σ_i w_i ℓ_i / Σ_i w_i at one point, and its gradient; copies of all it is given.

    It does not change, but for the size of its chunks where memory ends: :meth:`with_weights` and
    the like return another one, which shares the network with it.

    Args:
        model: see :class:`spectra.HessianOperator`, here and below.
        images: (n, ...).
        labels: int64 (n,).
        loss: per-sample loss; one that is a module may have its tensors anywhere.
        weights: w_i >= 0, shape (n,), or None.
        dtype: of parameters and images.
        device: where to compute; None: see :func:`spectra.objective.placement.place`.
        micro_chunk: images in one piece of work.
        parameters: names or globs; None: all that have ``requires_grad``.

    Attributes:
        parameter_slices: which entries of a vector belong to which parameter.
        sample_losses: outputs (n, C) and labels (n,) to ℓ_i (n,), unweighted, which it checks to be
            one value an image.

    Raises:
        InputError: shapes, labels or dtype are not as above, or there are no images.
        NonFiniteError: images hold NaN or infinity.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor | LazyImages,
        labels: Tensor,
        *,
        loss: PerSampleLoss | None,
        weights: Tensor | None,
        dtype: torch.dtype,
        device: torch.device | str | None,
        micro_chunk: int,
        parameters: str | Sequence[str] | None = None,
    ) -> None:
        check_mode()
        model = plain_model(model)
        self.device = place(model, images, device)
        check_inputs(images, labels, weights, dtype, micro_chunk)
        self.dtype = dtype
        self.micro_chunk = micro_chunk
        self.loss_function = loss_on(self.device, loss)
        # Not a method: what is handed it would hold the operator that holds that, and a card's
        # memory would be free only when garbage is collected.
        self.sample_losses: PerSampleLoss = functools.partial(checked_losses, self.loss_function)
        own = own_copy(model, dtype, self.device)
        if parameters is not None:
            train_alone(own, parameters)
        self._take_network(own)
        self.images = frozen(images, self.device, dtype)
        self.labels = labels.detach().to(self.device, copy=True)
        self._take_weights(torch.ones(len(labels)) if weights is None else weights)

    def _take_network(self, model: nn.Module) -> None:
        """Have ``model``, which nobody else has, as the network, and a point of its own."""
        self.model = model
        self.names: list[str] = []
        self.parameters: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            parameter.grad = None
            if parameter.requires_grad:
                self.names.append(name)
                self.parameters.append(parameter)
        if not self.parameters:
            raise InputError("the model has no parameter with requires_grad; nothing to analyze")
        self.parameter_slices = ParameterSlices(
            tuple(self.names), tuple(p.shape for p in self.parameters)
        )
        self.size = self.parameter_slices.size
        self._displacement = _Displacement()
        self._in_place = ParametersInPlace(model)

    def _take_weights(self, weights: Tensor) -> None:
        self.weights = weights.detach().to(self.device, self.dtype, copy=True)
        self.total_weight = float(weights.detach().double().sum())

    def _copied(self, **changes: Any) -> Self:
        """Return another of the same kind, other in the fields named; it shares the rest."""
        made = object.__new__(type(self))
        made.__dict__ |= self.__dict__ | changes
        return made

    def over_images(self, index: Tensor) -> Self:
        """Return what the images ``index`` contribute: sums over them, divided by Σ w of all.

        The weight of the whole stays in the denominator, so that the parts of a partition add up
        to it; :meth:`with_weights` makes a mean over the part of it.

        Args:
            index: positions of images, int64 (k,), k >= 1.
        """
        index = index.to(self.device)
        return self._copied(
            images=select(self.images, index),
            labels=self.labels[index],
            weights=self.weights[index],
        )

    def with_images(self, images: Tensor) -> Self:
        """Return the same over other images of the same shape; labels and weights stay.

        Raises:
            InputError: the shape is another.
        """
        if images.shape != self.images.shape:
            raise InputError(
                f"images must have shape {tuple(self.images.shape)}, got {tuple(images.shape)}"
            )
        return self._copied(images=frozen(images, self.device, self.dtype))

    def with_weights(self, weights: Tensor) -> Self:
        """Return the mean over these images with other weights w_i, shape (n,).

        Raises:
            InputError: they are not n finite values >= 0 with a positive sum.
        """
        check_weights(weights, self.labels)
        made = self._copied()
        made._take_weights(weights)
        return made

    def _in_float64(self) -> Self:
        """Return the same in float64, with a network of its own."""
        double = self._copied(dtype=torch.float64)
        double._take_network(own_copy(self.model, torch.float64))
        double.images = frozen(self.images, self.device, torch.float64)
        double.weights = self.weights.to(torch.float64)
        return double

    @property
    def num_images(self) -> int:
        """Number of frozen images."""
        return len(self.labels)

    def chunks(self) -> Iterator[slice]:
        """Yield the constant micro-chunks in index order; the last one may be ragged."""
        for start in range(0, self.num_images, self.micro_chunk):
            yield slice(start, min(start + self.micro_chunk, self.num_images))

    @property
    def keeps_work(self) -> bool:
        """Whether memory holds work that could be given up."""
        return False

    def make_room(self) -> None:
        """Work in chunks of half as many images from here on.

        Asked for where memory ended. It is the one thing of a loss that changes: how its sums are
        cut into chunks, which moves them by rounding.
        """
        self.micro_chunk = max(1, min(self.micro_chunk, self.num_images) // 2)
        give_back_free_memory(self.device)
        logger.warning(
            "out of memory on %s: going on with %d images at a time", self.device, self.micro_chunk
        )

    @with_smaller_chunks
    def gradient(self) -> Tensor:
        """Return the gradient of the mean loss, shape (P,), float64 sums of own-dtype chunks."""
        total = torch.zeros(self.size, dtype=torch.float64, device=self.device)
        with exact_products(self.device):
            for gradient in self._map(self._chunk_gradient):
                total += torch.cat([g.reshape(-1) for g in gradient])
        return total / self.total_weight

    @with_smaller_chunks
    def loss(self) -> float:
        """Return the weighted mean loss."""
        with float32_precision(self.device, tf32=False):
            sums = list(self._map(self._chunk_loss))
        return sum(torch.stack(sums).tolist()) / self.total_weight

    @with_smaller_chunks
    @torch.no_grad()
    def accuracy(self) -> float:
        """Return the fraction of the frozen images whose largest output is at their label."""
        with float32_precision(self.device, tf32=False):
            right = [
                (self.model(self.images[c]).argmax(1) == self.labels[c]).sum()
                for c in self.chunks()
            ]
        return int(torch.stack(right).sum()) / self.num_images

    def chunk_losses(self, chunk: slice) -> Tensor:
        """Return w_i ℓ_i for the images of ``chunk``."""
        losses = self.sample_losses(self.model(self.images[chunk]), self.labels[chunk])
        return self.weights[chunk] * losses

    @contextmanager
    def moved(self, step: Tensor) -> Iterator[None]:
        """Have the parameters at w + step, shape (P,), inside the block: for losses and gradients.

        Products are refused there, for kept work is of w: of this operator and of all that share
        its parameters.
        """
        pieces = self.unflatten(step.to(self.device))
        with perturbed(self.parameters, [e.to(self.dtype) for e in pieces]):
            before, self._displacement.now = self._displacement.now, True
            try:
                yield
            finally:
                self._displacement.now = before

    def check_point(self) -> None:
        """Raise OperatorError unless the network is as it was when the operator was built.

        Raises:
            OperatorError: its parameters are moved, or are elsewhere or in another dtype.
        """
        if self._displacement.now:
            raise OperatorError(
                "a product was asked for while the parameters are moved: products are of the point "
                "at which the operator was built; ask for it outside of the block of moved()"
            )
        found = self.parameters[0]
        if found.device != self.device or found.dtype != self.dtype:
            raise OperatorError(
                f"the operator's own network must be on {self.device} in {self.dtype}, it was "
                f"moved to {found.device} in {found.dtype}; build an operator there"
            )
        self._in_place.check()

    def unflatten(self, v: Tensor) -> list[Tensor]:
        """Return ``v`` (P,) as one tensor a parameter, in the order of ``names``."""
        pieces = v.split(self.parameter_slices.sizes)
        return [piece.view_as(p) for piece, p in zip(pieces, self.parameters, strict=True)]

    def named(self, v: Tensor) -> dict[str, Tensor]:
        """Return ``v`` (P,) as one tensor a parameter, by name."""
        return dict(zip(self.names, self.unflatten(v), strict=True))

    def _map(self, work: Callable[[slice], T]) -> Iterator[T]:
        """Yield ``work`` of each chunk, in their order."""
        return map(work, self.chunks())

    @torch.no_grad()
    def _chunk_loss(self, chunk: slice) -> Tensor:
        return self.chunk_losses(chunk).double().sum()

    @torch.enable_grad()
    def _chunk_gradient(self, chunk: slice) -> list[Tensor]:
        loss = self.chunk_losses(chunk).sum()
        if not loss.requires_grad:  # no parameter reaches the loss
            return [torch.zeros_like(p) for p in self.parameters]
        return list(torch.autograd.grad(loss, self.parameters, materialize_grads=True))
