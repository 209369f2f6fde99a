"""The gallery's networks by name, each with 64 samples."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cli.bench.gallery.image_networks import (
    SmallConvNeXt,
    SmallMixer,
    SmallResNet,
    SmallViT,
    group_norm,
    small_mlp,
)
from cli.bench.gallery.sequence_networks import (
    FEATURES,
    LENGTH,
    VOCABULARY,
    GPTClassifier,
    SmallLSTM,
)
from spectra import make_generator
from spectra.errors import InputError
from spectra.system.seeding import derive_seed

SAMPLES = 64
CLASSES = 10
EVERYTHING = "all"

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "bn-resnet": lambda: SmallResNet(nn.BatchNorm2d),
    "gn-resnet": lambda: SmallResNet(group_norm),
    "convnext": SmallConvNeXt,
    "vit": SmallViT,
    "mixer": SmallMixer,
    "lstm": SmallLSTM,
    "mlp": small_mlp,
    "gpt": GPTClassifier,
}


@dataclass(frozen=True)
class Subject:
    """One network and its samples.

    Attributes:
        name: a key of :data:`NETWORKS`.
        model: float32, in eval mode, with random weights.
        inputs: (n, ...), floats or token ids.
        labels: int64 (n,).
    """

    name: str
    model: nn.Module
    inputs: Tensor
    labels: Tensor

    @property
    def num_parameters(self) -> int:
        """Trainable ones."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)


def make_subject(name: str, *, num_samples: int = SAMPLES, seed: int = 0) -> Subject:
    """Return a network of the gallery with random weights, samples and labels.

    Weights are torch's own first ones; batch norms have the moments of the images.

    Raises:
        InputError: there is no such network.

    Example:
        >>> make_subject("mlp").num_parameters
        116234
    """
    (name,) = chosen_names(name)
    with torch.random.fork_rng(devices=[]):  # torch's own initialisation draws numbers
        torch.manual_seed(derive_seed(seed, "gallery", name) % 2**32)
        model = NETWORKS[name]()
    inputs = _samples(name, num_samples, make_generator(seed, "gallery samples", name))
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.momentum = None  # a plain mean: of one batch, its own moments
        model.train()(inputs)
    return Subject(name, model.eval(), inputs, torch.arange(num_samples) % CLASSES)


def chosen_names(word: str) -> tuple[str, ...]:
    """Return the names that ``--arch`` asks for: one, several joined by commas, or ``all``."""
    if word == EVERYTHING:
        return tuple(NETWORKS)
    names = tuple(part.strip() for part in word.split(",") if part.strip())
    unknown = [name for name in names if name not in NETWORKS]
    if unknown or not names:
        raise InputError(f"--arch must be one of {', '.join(NETWORKS)}, or all; got {word!r}")
    return names


def _samples(name: str, n: int, generator: torch.Generator) -> Tensor:
    if name == "gpt":
        return torch.randint(VOCABULARY, (n, LENGTH), generator=generator)
    if name == "lstm":
        return torch.randn(n, LENGTH, FEATURES, generator=generator)
    return torch.randn(n, 3, 16, 16, generator=generator)
