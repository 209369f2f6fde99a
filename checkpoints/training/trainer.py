"""One run's epochs: the order of images and the step of each batch."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from checkpoints.data.dataset import ImageData
from checkpoints.recipes.recipe import Recipe
from checkpoints.recipes.schedules import (
    ascent_radius,
    class_weights,
    learning_rate,
    sampling_probabilities,
)
from checkpoints.recipes.training_losses import output_scale, training_loss
from checkpoints.training.batches import Minibatch, minibatches
from checkpoints.training.captured import CapturedStep
from checkpoints.training.evaluation import ClassMetrics, EpochMetrics, Passes, evaluate
from checkpoints.training.execution import Execution
from checkpoints.training.images.choose import images_of_training
from checkpoints.training.parallel.agreement import agree_on_buffers, check_same_network
from checkpoints.training.parallel.norms import Presence, synchronise
from checkpoints.training.parallel.shares import ALONE
from checkpoints.training.steps.choose import step_rule
from checkpoints.training.steps.interface import Batch
from checkpoints.training.steps.sam import frozen_batch_norm
from spectra.errors import InputError, NonFiniteError
from spectra.objective.per_sample import CrossEntropy
from spectra.system.progress import work_on_images
from spectra.system.ranks import World
from spectra.system.recording import CudaRecorder
from spectra.system.seeding import derive_seed, make_generator


class Trainer:
    """The tensors and the step of one run.

    Args:
        recipe: how to train.
        data: on what.
        model: on ``device``, as ``execution`` places it; its weights are changed.
        optimizer: steps on ``model``.
        seed: of the order of images and of augmentation, with the epoch.
        device: where.
        execution: how its passes are computed.
        passes: of ``model``, where it does not return its outputs as a tensor.
        world: the ranks that share every batch, each of which has a trainer like this one.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: ImageData,
        model: nn.Module,
        optimizer: torch.optim.SGD,
        *,
        seed: int,
        device: torch.device,
        execution: Execution,
        passes: Passes | None = None,
        world: World = ALONE,
    ) -> None:
        self.recipe, self.data, self.seed, self.device = recipe, data, seed, device
        self.world, self.presence = world, Presence()
        if world.size > 1 and execution.batch_norm == "synchronised":
            synchronise(model, world, self.presence)
        self.model, self.optimizer, self.execution = model, optimizer, execution
        self.passes = passes or Passes(model, model)
        self.forward = execution.forward(self.passes.training)
        self.counts = data.class_counts
        self.loss = training_loss(recipe, self.counts)
        self.images, self.test = images_of_training(data, recipe, device)
        self.rule = step_rule(recipe, model, self.counts, world)
        self.captured: CapturedStep | None = None
        if execution.captured:
            self.captured = CapturedStep(
                self.eager_step,
                size=recipe.batch_size,
                settings=lambda: (optimizer.param_groups[0]["lr"], self.rule.numbers),
                clear=optimizer.zero_grad,
                recorder=CudaRecorder(device),
            )

    def run_epoch(self, epoch: int) -> EpochMetrics:
        """Train for one epoch, from 0, and return loss and accuracy over it.

        Raises:
            NonFiniteError: loss or weights became NaN or infinite.
        """
        recipe, seed = self.recipe, self.seed
        rate = learning_rate(recipe, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.noise = make_generator(seed, "gradient noise", epoch)
        self.rule.start_epoch(ascent_radius(recipe, epoch), self.noise)
        batches = minibatches(
            self.images,
            self.data.train.labels,
            self._order(make_generator(seed, "order", epoch)),
            size=recipe.batch_size,
            class_weights=class_weights(recipe, self.counts, epoch),
            generator=make_generator(seed, "augmentation", epoch),
            world=self.world,
        )
        self.model.train()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), self.execution.settings(self.device):
            # For a user's network that draws random numbers of its own (dropout): others on each
            # rank, for other images.
            rank = (self.world.rank,) if self.world.rank else ()
            torch.manual_seed(derive_seed(seed, "network", epoch, *rank))
            mean, accuracy, finite = self._steps(batches)
        agree_on_buffers(self.model, self.world)
        if not (math.isfinite(mean) and finite):
            raise NonFiniteError(
                f"training loss of {recipe.name} is {mean} in epoch {epoch + 1}"
                + ("" if finite else " and its weights are not finite")
                + f"; lower lr (--set lr=..., now {recipe.lr:g})"
                + (" or rho (--rho)" if recipe.uses_ascent else "")
            )
        check_same_network(self.model, self.world, f"after epoch {epoch + 1}")
        return EpochMetrics(epoch + 1, rate, mean, accuracy)

    def _steps(self, batches: Iterable[Minibatch]) -> tuple[float, float, bool]:
        """Step through the batches; return mean loss, accuracy, and whether weights are finite.

        The three are read in one synchronisation, at the end.
        """
        shown = 0
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        for batch in batches:
            loss, hits = self._step(batch)
            total += loss.double() * batch.count
            right += hits
            shown += batch.count
            work_on_images(batch.count)  # by all ranks: one of them says how fast it goes
        finite = all_finite(self.model.state_dict().values())
        found = self.world.add_up(torch.stack([total, right.double(), finite.double()])).tolist()
        return found[0] / shown, found[1] / shown, found[2] == self.world.size

    def _order(self, generator: torch.Generator) -> Tensor:
        n = len(self.data.train)
        if self.recipe.weighting == "resample":
            chance = sampling_probabilities(self.recipe, self.data.train.labels, self.counts)
            order = torch.multinomial(chance, n, replacement=True, generator=generator)
        else:
            order = torch.randperm(n, generator=generator)
        return order

    def _step(self, batch: Minibatch) -> tuple[Tensor, Tensor]:
        """Step on a batch and return its loss and hits."""
        if self.captured is not None:
            return self.captured(batch.images, batch.labels, batch.weights)
        own = Batch(
            self.forward,
            batch.images,
            batch.labels,
            batch.weights,
            self.loss,
            batch.host_labels,
            total=batch.total,
            share=batch.share,
        )
        if batch.share is None or not batch.share.stands_in:
            return self._descend(own)
        # No average sees this rank's passes; where they are synchronised, all hold the whole batch.
        averages = None if self.execution.batch_norm == "synchronised" else self.model
        with self.presence.none(), frozen_batch_norm(averages):
            return self._descend(own)

    def eager_step(self, images: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Step on the tensors of a whole :class:`Minibatch` and return its loss and hits."""
        return self._descend(Batch(self.forward, images, labels, weights, self.loss))

    def _descend(self, batch: Batch) -> tuple[Tensor, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        try:
            self.rule.fill(batch, self.noise)
        except ValueError as error:  # of torch's batch norm
            if batch.share is None or "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                f"rank {self.world.rank} has 1 image of a batch of {len(batch.labels_of_whole)}, "
                "too few for the network's batch norm; take fewer processes, another batch_size, "
                "or --batch-norm synchronised"
            ) from error
        self.optimizer.step()
        return batch.seen

    def validate(self) -> ClassMetrics | None:
        """Return per-class accuracy and cross-entropy on the test images, where there are any.

        Each rank evaluates some of them.
        """
        if self.test is None:
            return None
        return evaluate(
            self.passes.evaluation,
            *self.test,
            num_classes=self.data.num_classes,
            loss=CrossEntropy(output_scale(self.recipe)),
            world=self.world,
        )


def descent(recipe: Recipe, model: nn.Module, device: torch.device) -> torch.optim.SGD:
    """Return the SGD that steps ``model`` on ``device``; on a GPU with all tensors at once."""
    return torch.optim.SGD(
        model.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        foreach=True if device.type == "cuda" else None,
    )


@torch.no_grad()
def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Return whether no tensor holds NaN or infinity, as one bool on their device."""
    floats = [t for t in tensors if t.is_floating_point() and t.numel()]
    if not floats:
        return torch.tensor(True)
    return torch.stack(torch._foreach_norm(floats, math.inf)).isfinite().all()
