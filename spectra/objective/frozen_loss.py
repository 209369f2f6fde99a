"""A weighted mean of per-sample losses over frozen images, as a function of the parameters."""

import logging
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from spectra.errors import InputError, check_count, is_number
from spectra.objective.losses.fit import FittedLoss, fit_loss
from spectra.objective.network.own_copy import own_copy
from spectra.objective.network.own_forward import give_own_forward
from spectra.objective.parameter_slices import train_alone
from spectra.objective.per_sample import PerSampleLoss
from spectra.objective.placement import place
from spectra.objective.plain_model import plain_model
from spectra.objective.point import NetworkPoint
from spectra.objective.samples.chunk_size import default_chunk
from spectra.objective.samples.forward import Forward, fit_network, part_of
from spectra.objective.samples.input_tree import as_samples, described, forms, frozen, select
from spectra.objective.samples.inputs import (
    check_inputs,
    check_weights,
    label_tensor,
    position_of_another_label,
)
from spectra.objective.samples.shares import SharedImages
from spectra.objective.short_memory import with_smaller_chunks
from spectra.system.allocator import give_back_free_memory
from spectra.system.exact import check_mode, exact_products
from spectra.system.memory.pieces import add_parts_to
from spectra.system.precision import float32_precision

T = TypeVar("T")
logger = logging.getLogger(__name__)


class FrozenLoss(SharedImages, NetworkPoint):
    """L(w) = Σ_i w_i ℓ_i / Σ_i w_i + ½ c ‖w‖² at one point, and its gradient; all in copies.

    It does not change, but for the size of its chunks where memory ends: :meth:`with_weights` and
    the like return another one, which shares the network with it.

    Args:
        model: see :class:`spectra.HessianOperator`, here and below.
        images: (n, ...), or a tree of such tensors.
        labels: integers (n,), of a tensor, an array or a list.
        forward: makes what the model returns of model and images.
        loss: per-sample loss, whose tensors may be anywhere.
        weights: w_i >= 0, shape (n,), or None.
        dtype: of parameters and images.
        device: where to compute; None: see :func:`spectra.objective.placement.place`.
        micro_chunk: images in one piece of work; None: see
            :func:`spectra.objective.samples.chunk_size.default_chunk`.
        parameters: names or globs; None: all that have ``requires_grad``.
        weight_decay: c >= 0, of these parameters.

    Attributes:
        model: maps images, as they are held, to outputs (n, C).
        sample_losses: outputs (n, C) and labels (n,) to ℓ_i (n,), unweighted, which it checks to be
            one value an image.

    Raises:
        InputError: shapes, labels or dtype are not as above, or there are no images.
        NonFiniteError: images hold NaN or infinity.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Any,
        labels: Any,
        *,
        forward: Forward | None = None,
        loss: PerSampleLoss | None,
        weights: Tensor | None,
        dtype: torch.dtype,
        device: torch.device | str | None,
        micro_chunk: int | None,
        parameters: str | Sequence[str] | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        check_mode()
        model, samples, labels = plain_model(model), as_samples(images), label_tensor(labels)
        self.device = place(model, samples, device)
        check_inputs(samples, labels, weights, dtype)
        if micro_chunk is not None:
            check_count("micro_chunk", micro_chunk)
        self.dtype = dtype
        self.images = frozen(samples, self.device, dtype)
        self.labels = labels.detach().to(self.device, copy=True)
        self._take_weights(torch.ones(len(labels)) if weights is None else weights)
        own = own_copy(model, dtype, self.device)
        if parameters is not None:
            train_alone(own, parameters)
        with float32_precision(self.device, tf32=False):
            known = isinstance(loss, FittedLoss)
            second = None if known else position_of_another_label(labels)
            fitted = fit_network(own, self.images, forward, second=second)
            self._take_network(give_own_forward(fitted.network, dtype))
            self._input_names = fitted.names
            self.images = part_of(self.images, fitted.names)
            two = labels if second is None else labels[[0, second]].to(self.device)
            self.sample_losses = fit_loss(loss, fitted.outputs, two, of_all=labels)
            self.micro_chunk = micro_chunk or default_chunk(self.model, self.images, self.device)
        self._take_weight_decay(weight_decay)

    def _take_weights(self, weights: Tensor) -> None:
        self.weights = weights.detach().to(self.device, self.dtype, copy=True)
        self.total_weight = float(weights.detach().double().sum())
        self._share = 1.0

    def _take_weight_decay(self, weight_decay: float) -> None:
        if not (is_number(weight_decay) and 0 <= weight_decay < math.inf):
            raise InputError(f"weight_decay must be finite and >= 0, got {weight_decay!r}")
        self.weight_decay = float(weight_decay)

    def _copied(self, **changes: Any) -> Self:
        """Return another of the same kind, other in the fields named; it shares the rest."""
        made = object.__new__(type(self))
        made.__dict__ |= self.__dict__ | changes
        return made

    def over_images(self, index: Tensor) -> Self:
        """Return what the images ``index`` contribute: sums over them, divided by Σ w of all.

        The weight of the whole stays in the denominator, and a part has as much of the weight decay
        as of the weight, so that the parts of a partition add up to the whole; :meth:`with_weights`
        makes a mean over the part of it, with all of the weight decay.

        Args:
            index: positions of images, int64 (k,), k >= 1.
        """
        index = index.to(self.device)
        weights = self.weights[index]
        return self._copied(
            images=select(self.images, index),
            labels=self.labels[index],
            weights=weights,
            _share=float(weights.double().sum()) / self.total_weight,
        )

    def with_images(self, images: Any) -> Self:
        """Return the same over other images of the same shape; labels and weights stay.

        Raises:
            InputError: the shape is another.
        """
        part = part_of(as_samples(images), self._input_names)
        found = frozen(part, self.device, self.dtype)
        if forms(found) != forms(self.images):
            raise InputError(f"images must have {described(self.images)}, got {described(found)}")
        return self._copied(images=found)

    def with_weights(self, weights: Tensor) -> Self:
        """Return the mean over these images with other weights w_i, shape (n,).

        Raises:
            InputError: they are not n finite values >= 0 with a positive sum.
        """
        check_weights(weights, self.labels)
        made = self._copied()
        made._take_weights(weights)
        return made

    def with_weight_decay(self, weight_decay: float) -> Self:
        """Return the same with ½ c ‖w‖² of the trainable parameters added, in place of any before.

        Args:
            weight_decay: c >= 0, as in torch's SGD, which adds c·w to the gradient; 0: none.

        Raises:
            InputError: it is not a finite number >= 0.
        """
        made = self._copied()
        made._take_weight_decay(weight_decay)
        return made

    def _in_float64(self) -> Self:
        """Return the same in float64, with a network of its own."""
        double = self._copied(dtype=torch.float64)
        double._take_network(own_copy(self.model, torch.float64))
        double.images = frozen(self.images, self.device, torch.float64)
        double.weights = self.weights.to(torch.float64)
        return double

    @property
    def decay(self) -> float:
        """What weight decay adds to each eigenvalue: c, of a part of the images its share of c."""
        return self.weight_decay * self._share

    def _decayed(self, sums: Tensor, vectors: Tensor) -> Tensor:
        """Return ``sums`` with ``decay`` times ``vectors`` added, which it changes."""
        return sums.add_(vectors.to(sums), alpha=self.decay) if self.decay else sums

    def _parameter_vector(self) -> Tensor:
        """Return w where the parameters are now, shape (P,), float64."""
        return torch.cat([p.detach().reshape(-1) for p in self.parameters]).double()

    @property
    def keeps_work(self) -> bool:
        """Whether memory holds work that could be given up."""
        return False

    def make_room(self) -> None:
        """Work in chunks of half as many images, where memory ended: sums move by rounding."""
        self.micro_chunk = max(1, min(self.micro_chunk, self.num_images) // 2)
        give_back_free_memory(self.device)
        logger.warning(
            "out of memory on %s: going on with %d images at a time", self.device, self.micro_chunk
        )

    def gradient(self) -> Tensor:
        """Return the gradient of the loss, shape (P,), float64 sums of own-dtype chunks."""
        return self._mean_gradient(scaled=False)[0]

    def scaled_gradient(self) -> tuple[Tensor, float]:
        """Return :meth:`gradient`, and its length if nothing cancelled: what rounding is beside."""
        gradient, lengths = self._mean_gradient(scaled=True)
        size = self._sum(lengths) / self.total_weight
        if self.decay:
            size += self.decay * float(self._parameter_vector().norm())
        return gradient, size

    def _mean_gradient(self, *, scaled: bool) -> tuple[Tensor, list[Tensor]]:
        total, lengths = self._summed_gradient(scaled=scaled)
        total = self._world.add_up(total).div_(self.total_weight)
        return self._decayed(total, self._parameter_vector()) if self.decay else total, lengths

    @with_smaller_chunks
    def _summed_gradient(self, *, scaled: bool) -> tuple[Tensor, list[Tensor]]:
        """Return this rank's sum, and where asked for the length of what each chunk adds."""
        lengths, total = [], torch.zeros(self.size, dtype=torch.float64, device=self.device)
        with exact_products(self.device):
            for parts in self._map(self._chunk_gradient):
                length = add_parts_to(total, parts)
                if scaled:
                    lengths.append(length())
        return total, lengths

    def loss(self) -> float:
        """Return the weighted mean loss, weight decay included."""
        mean = self._sum(self._chunk_sums()) / self.total_weight
        if self.decay:
            mean += 0.5 * self.decay * float(self._parameter_vector().square().sum())
        return mean

    @with_smaller_chunks
    def _chunk_sums(self) -> list[Tensor]:
        with float32_precision(self.device, tf32=False):
            return list(self._map(self._chunk_loss))

    def accuracy(self) -> float:
        """Return the fraction of the frozen images whose largest output is at their label.

        Of a single output, label 1 is predicted where it is positive.

        Raises:
            InputError: there are several outputs a class.
        """
        return self._sum(self._right()) / self.num_images

    @with_smaller_chunks
    @torch.no_grad()
    def _right(self) -> list[Tensor]:
        """Return how many images of each chunk are classified right."""
        with float32_precision(self.device, tf32=False):
            return [
                (self.sample_losses.predicted(self.model(self.images[c])) == self.labels[c]).sum()
                for c in self.chunks()
            ]

    def chunk_losses(self, chunk: slice) -> Tensor:
        """Return w_i ℓ_i for the images of ``chunk``, without weight decay."""
        losses = self.sample_losses(self.model(self.images[chunk]), self.labels[chunk])
        return self.weights[chunk] * losses

    @abstractmethod
    def _map(self, work: Callable[[slice], T]) -> Iterator[T]:
        """Yield ``work`` of each chunk, in their order."""

    @torch.no_grad()
    def _chunk_loss(self, chunk: slice) -> Tensor:
        return self.chunk_losses(chunk).double().sum()

    @torch.enable_grad()
    def _chunk_gradient(self, chunk: slice) -> list[Tensor]:
        loss = self.chunk_losses(chunk).sum()
        if not loss.requires_grad:  # no parameter reaches the loss
            return [torch.zeros_like(p) for p in self.parameters]
        return list(torch.autograd.grad(loss, self.parameters, materialize_grads=True))
