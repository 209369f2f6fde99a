"""What a step of training is made of: a batch's loss, and the rule that takes its gradient."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from checkpoints.recipes.recipe import Recipe
from checkpoints.training.parallel.gradients import summed
from checkpoints.training.parallel.shares import ALONE, Share, parts_of
from spectra.objective.per_sample import PerSampleLoss
from spectra.system.ranks import World

Forward = Callable[[Tensor], Tensor]


class Batch:
    """A batch's loss, the weighted mean Σ_i w_i ℓ_i / Σ_i w_i, as a whole or by its images' terms.

    In several processes it is this rank's part of a batch: the terms are those of its own images,
    over the weights of the whole batch, so that the loss is the sum over ranks.

    Args:
        forward: of a model in training mode: images (n, ...) to outputs (n, C).
        images: (n, ...), normalised.
        labels: int64 (n,).
        weights: w_i, shape (n,).
        loss: per-sample.
        host_labels: the labels on the CPU, so that rules can see which classes are there without
            a synchronisation; None: they are copied where a rule asks for them.
        total: Σ_j w_j of the batch that the images are a part of, a number; None: of themselves.
        share: which part of a batch this rank has; None: the whole.
    """

    def __init__(
        self,
        forward: Forward,
        images: Tensor,
        labels: Tensor,
        weights: Tensor,
        loss: PerSampleLoss,
        host_labels: Tensor | None = None,
        *,
        total: Tensor | None = None,
        share: Share | None = None,
    ) -> None:
        self.forward, self.images, self.labels, self.loss = forward, images, labels, loss
        self.weights, self.share = weights, share
        self._total = total
        self._host_labels = host_labels
        self._seen: tuple[Tensor, Tensor] | None = None

    @property
    def host_labels(self) -> Tensor:
        """The labels on the CPU, int64 (n,)."""
        if self._host_labels is None:
            self._host_labels = self.labels.cpu()
        return self._host_labels

    @property
    def labels_of_whole(self) -> Tensor:
        """The labels of the whole batch, of which this may be a part, on the CPU."""
        return self.host_labels if self.share is None else self.share.labels

    @functools.cached_property
    def total(self) -> Tensor:
        """Σ_j w_j over the whole batch, a number."""
        return self.weights.sum() if self._total is None else self._total

    @functools.cached_property
    def shares(self) -> Tensor:
        """w_i / Σ_j w_j, shape (n,)."""
        return self.weights / self.total

    @property
    def seen(self) -> tuple[Tensor, Tensor]:
        """Loss and hits of the first pass, two numbers."""
        assert self._seen is not None, "no rule has made a pass yet"
        return self._seen

    def parts(self, number: int) -> list[Batch]:
        """Return those of the ``number`` parts of the whole batch that lie in this one.

        Parts follow each other and differ by an image at most; those without images are left out.
        A number of parts that is a multiple of the number of ranks cuts nowhere else than between
        ranks and within them.
        """
        if self.share is not None and self.share.stands_in:
            return [self]
        first = 0 if self.share is None else self.share.part.start
        count = len(self.labels) if self.share is None else len(self.share.labels)
        found = []
        for part in parts_of(count, number):
            start, stop = max(part.start - first, 0), min(part.stop - first, len(self.labels))
            if start < stop:
                here = slice(start, stop)
                images, labels, weights = self.images[here], self.labels[here], self.weights[here]
                found.append(
                    Batch(self.forward, images, labels, weights, self.loss, total=self.total)
                )
        return found

    def see(self, loss: Tensor, hits: Tensor) -> None:
        """Note loss and hits that a rule has found by passes of its own."""
        if self._seen is None:
            self._seen = loss, hits

    def mean(self) -> Tensor:
        """Return the loss, a number, of a forward pass at the weights now."""
        outputs = self.forward(self.images)
        mean = (self.weights * self.loss(outputs, self.labels)).sum() / self.total
        self._note(mean, outputs)
        return mean

    def terms(self, outputs: Tensor | None = None) -> Tensor:
        """Return the terms, shape (n,), of ``outputs`` or of a forward pass at the weights now."""
        if outputs is None:
            outputs = self.forward(self.images)
        terms = self.shares * self.loss(outputs, self.labels)
        if self._seen is None:
            self._note(terms.detach().sum(), outputs)
        return terms

    def _note(self, loss: Tensor, outputs: Tensor) -> None:
        if self._seen is None:
            right = outputs.detach().argmax(1) == self.labels
            if self.share is not None and self.share.stands_in:
                right = torch.zeros_like(right)
            self.see(loss.detach(), right.sum())


class StepRule(ABC):
    """Fills ``.grad`` for the optimizer that descends.

    Args:
        parameters: all of the model's trainable parameters.

    Attributes:
        plain: what :meth:`fill` does depends on its tensors and :attr:`numbers` alone: it draws
            nothing, reads nothing back and puts no hook into the network. Only such a step can be
            recorded as a CUDA graph, and only through such a step can a network be compiled.
        world: the ranks, each of which fills in the gradient of its part of a batch; what it puts
            is the sum over all, the same on every rank.
    """

    plain: ClassVar[bool] = False
    world: World = ALONE

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = list(parameters)

    @classmethod
    @abstractmethod
    def of_recipe(cls, recipe: Recipe, model: nn.Module, class_counts: tuple[int, ...]) -> Self:
        """Return the rule with a recipe's numbers.

        Args:
            recipe: whose optimizer this is.
            model: to be trained.
            class_counts: training images of each class.

        Raises:
            InputError: network or classes do not fit the rule.
        """

    @abstractmethod
    def fill(self, batch: Batch, generator: torch.Generator) -> None:
        """Fill ``.grad``, which is empty, and leave the weights as they should be stepped from.

        Args:
            batch: the loss.
            generator: a CPU generator of this epoch, for rules that draw.
        """

    def start_epoch(  # noqa: B027, most have nothing to do
        self, rho: float, generator: torch.Generator
    ) -> None:
        """Take this epoch's ρ; forget what is kept within an epoch: a run resumes at epochs.

        Args:
            rho: ρ of this epoch.
            generator: that of :meth:`fill`, new for each epoch.
        """

    @property
    def numbers(self) -> Hashable:
        """The numbers that :meth:`fill` reads: where they change, a recording of it is of no use.

        None for a rule without any.
        """
        return None

    def gradient(self, loss: Tensor, *, keep: bool = False) -> list[Tensor]:
        """Return the gradient of ``loss``, summed over ranks; ``keep`` its graph for another."""
        own = torch.autograd.grad(loss, self.parameters, retain_graph=keep, materialize_grads=True)
        return summed(own, self.world)

    def put(self, gradient: Sequence[Tensor]) -> None:
        """Store ``gradient`` as ``.grad``."""
        for p, g in zip(self.parameters, gradient, strict=True):
            p.grad = g


class AscentRule(StepRule):
    """A rule that climbs by a radius, which may change from epoch to epoch.

    Args:
        parameters: see :class:`StepRule`.
        rho: ρ, parameter units.
    """

    def __init__(self, parameters: Sequence[Tensor], *, rho: float) -> None:
        super().__init__(parameters)
        self.rho = rho

    def start_epoch(self, rho: float, generator: torch.Generator) -> None:
        """Take this epoch's ρ."""
        self.rho = rho

    @property
    def numbers(self) -> Hashable:
        """ρ."""
        return self.rho


def trainable(model: nn.Module) -> list[Tensor]:
    """Return the parameters that training changes."""
    return [p for p in model.parameters() if p.requires_grad]
