"""A checkpoint, whatever file it came from."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from checkpoints.data.dataset import Normalisation
from checkpoints.models import Architecture, build_model
from checkpoints.models.factories import Factory
from checkpoints.recipes.recipe import Recipe
from spectra.classes.identity import weights_digest
from spectra.errors import InputError
from spectra.results.provenance import CheckpointIdentity, Description
from spectra.system.files.limits import check_limit
from spectra.system.foreign_text import check_encodable

MOST_EPOCHS = 10**9
"""Ours: more is no number of epochs."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights, and what is known of how they came about; None where a file does not say.

    Attributes:
        name: short identity for tables and figures, without folders.
        state: state dict on the CPU: parameters and buffers.
        architecture: what to build before loading ``state``.
        factory: what builds it, where it is none of ours; None: nobody has named the code.
        stated_classes: outputs that the user stated; None: ``architecture`` has what was inferred.
        normalisation: what the network's images must go through; None: the data's default.
        epoch: epochs of training done.
        recipe: how it was trained.
        class_counts: training images of each class.
        data: description of the training data, with its ``digest``.
        metrics: per-class accuracies and losses at this epoch.
        seed: training seed.
        versions: of the libraries that trained it.
        notes: what the user should know before trusting it.
        origin: the file, as errors name it; None: it came from none.
    """

    name: str
    state: Mapping[str, Tensor]
    architecture: Architecture
    normalisation: Normalisation | None = None
    epoch: int | None = None
    recipe: Recipe | None = None
    class_counts: tuple[int, ...] | None = None
    data: Description | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    factory: Factory | None = None
    stated_classes: int | None = None
    origin: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_encodable("the name of a checkpoint", self.name)
        check_limit("name", len(self.name), "name")
        if self.epoch is not None and not 0 <= self.epoch < MOST_EPOCHS:
            raise InputError(
                f"epoch: expected an integer from 0 to {MOST_EPOCHS - 1}, got {self.epoch}"
            )

    def trained(self) -> CheckpointIdentity:
        """Return what the file says of the network and its training."""
        return CheckpointIdentity(
            name=self.name,
            epoch=self.epoch,
            recipe=self.recipe.name if self.recipe else None,
            recipe_fields=self.recipe.to_dict() if self.recipe else None,
            seed=self.seed,
            architecture=self.architecture.to_dict(),
            class_counts=self.class_counts or (),
            digest=self.digest(),
            data=self.data,
            notes=self.notes,
        )

    def model(self) -> nn.Module:
        """Build the network in eval mode with these weights.

        Raises:
            InputError: the weights belong to another architecture, are not finite, or hold a
                negative variance.
        """
        with torch.random.fork_rng(devices=[]):  # torch's own initialisation draws numbers
            if self.factory is None:
                with torch.device("meta"):  # a file may state a network larger than memory
                    self._check(self._built().state_dict())
            model = self._built()
        expected = model.state_dict()
        if self.factory is not None:
            self._check(expected)
        model.load_state_dict({**expected, **_without_counters(self.state)})
        return model.eval()

    @property
    def _called(self) -> str:
        return self.origin or self.name

    def _check(self, expected: Mapping[str, Any]) -> None:
        """Raise InputError where the weights are none of a network with the state ``expected``."""
        state = _without_counters(self.state)
        wanted = {
            key
            for key, value in expected.items()
            if isinstance(value, Tensor) and not key.endswith("num_batches_tracked")
        }
        missing, extra = sorted(wanted - set(state)), sorted(set(state) - wanted)
        if missing or extra:
            raise InputError(
                f"{self._called} does not fit {self.architecture.name}: "
                f"{len(missing)} missing ({', '.join(missing[:3])}), "
                f"{len(extra)} unexpected ({', '.join(extra[:3])}); name another with --arch"
            )
        for key in sorted(wanted):
            if not is_lazy(expected[key]) and state[key].shape != expected[key].shape:
                raise InputError(
                    f"{self._called} does not fit {self.architecture.name}: {key} should have "
                    f"shape {tuple(expected[key].shape)}, got {tuple(state[key].shape)}; name "
                    "another with --arch"
                )
            self._check_numbers(key, state[key], expected[key])

    def _check_numbers(self, key: str, value: Tensor, expected: Tensor) -> None:
        """Raise InputError where a tensor's numbers cannot be those of a network."""
        if value.is_meta or value.layout != torch.strided or value.is_complex():
            raise InputError(
                f"{self._called}: {key} should be a dense real tensor in memory, got "
                f"{value.dtype}, {value.layout} on {value.device}; save the network's own weights"
            )
        if value.is_floating_point() != expected.is_floating_point() and value.numel():
            raise InputError(
                f"{self._called}: {key} should hold {_kind_of(expected)}, got {value.dtype}; save "
                "the network before it was quantised"
            )
        if not value.is_floating_point():
            return
        numbers = value.to(expected.dtype)
        if not torch.isfinite(numbers).all():
            raise InputError(
                f"{self._called} holds NaN or infinity in {key}; the training diverged, take an "
                "earlier checkpoint"
            )
        if key.endswith("running_var") and (numbers < 0).any():
            raise InputError(
                f"{self._called} holds a negative variance in {key}; the file is damaged, "
                "download or copy it again"
            )

    def _built(self) -> nn.Module:
        """Return the network with weights of its own.

        Raises:
            InputError: it is code of the user's own, which runs only when the user names it.
        """
        if self.factory is not None:
            return self.factory.build(self.architecture.num_classes)
        if ":" in self.architecture.name or self.architecture.name.endswith(".py"):
            raise InputError(
                f"{self._called} says that {self.architecture.name} builds its network, and code "
                "is not run because a file names it; name it yourself with --arch "
                f"{shlex.quote(self.architecture.name)}, or --arch FOLDER/FILE.py:NAME"
            )
        return build_model(self.architecture)

    @property
    def num_parameters(self) -> int:
        """Number of parameters, as the state dict tells them from running statistics."""
        return sum(
            value.numel()
            for key, value in self.state.items()
            if torch.is_floating_point(value) and "running_" not in key
        )

    @property
    def test_accuracy(self) -> float | None:
        """Fraction right of all test images, as recorded at this epoch."""
        tested = self.metrics.get("test") or {}
        accuracy: float | None = tested.get("overall")
        return accuracy

    @property
    def train_loss(self) -> float | None:
        """Mean training loss of this epoch, as recorded."""
        loss: float | None = self.metrics.get("train_loss")
        return loss

    def digest(self) -> str:
        """Return the SHA-256 of the weights: names, shapes and bytes in sorted order."""
        return weights_digest(self.state)


def _without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state without what counts batches: never used in eval mode.

    Files from before torch 0.4.1 have no such counters.
    """
    return {k: value for k, value in state.items() if not k.endswith("num_batches_tracked")}


def _kind_of(tensor: Tensor) -> str:
    return "real numbers" if tensor.is_floating_point() else f"integers ({tensor.dtype})"
