"""How large everything in the suite is: as measured, and as a toy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The smaller of the bundled networks whose ratios stand in the docs, ResNet-20 after 90 epochs: the
# references are float64 products on a CPU.
CHECKPOINT = "bundled:cifar10-lt/ce-drw-longer@90"
# Ours: what a ten-minute lease leaves once the machine is up.
SECONDS = 560.0


@dataclass(frozen=True)
class Sizes:
    """How much of everything; :data:`FULL` is measured, :data:`TOY` walks the same steps.

    Attributes:
        subjects: (class, largest number of images) of the reference products.
        trace_architecture: of the seeded trainings.
        trace_epochs: of the seeded trainings.
        trace_per_class: their images, a class at most.
        trace_overrides: fields of their recipes.
        timed_per_class: images, a class at most, of the trainings that are timed.
        timed_epochs: of these, counted from 0: after the warm-up, at one learning rate.
        products: (images, timed rounds) of the products beside the peers.
        product_architecture: of the network in these.
        nodes: Lanczos steps of a density.
        float64_classes: whose float64 products are timed.
        small_losses: images of the losses that share a pass.
        many_losses: how many of them.
        recipes: whose losses are referred to, and that may be trained.
        trained: those that are, one after the other, unless the request says otherwise.
        train_architecture: of their network.
        train_overrides: fields of their recipes.
        keep_epochs: whose weights are kept; None: those of the paper's trajectories.
        analyzed: classes of the trained networks, the first one first.
        tensor_side: side of the matrices in the card's rates.
    """

    subjects: tuple[tuple[int, int], ...]
    trace_architecture: str
    trace_epochs: int
    trace_per_class: int
    trace_overrides: Mapping[str, Any]
    timed_per_class: int
    timed_epochs: tuple[int, ...]
    products: tuple[tuple[int, int], ...]
    product_architecture: str
    nodes: int
    float64_classes: tuple[int, ...]
    small_losses: tuple[int, ...]
    many_losses: int
    recipes: tuple[str, ...]
    trained: tuple[str, ...]
    train_architecture: str
    train_overrides: Mapping[str, Any]
    keep_epochs: tuple[int, ...] | None
    analyzed: tuple[int, ...]
    tensor_side: int

    @property
    def references(self) -> dict[str, Any]:
        """What the prepared references depend on, in plain form."""
        return {
            "subjects": [list(subject) for subject in self.subjects],
            "recipes": list(self.recipes),
            "architecture": self.trace_architecture,
            "epochs": self.trace_epochs,
            "images_per_class": self.trace_per_class,
            "overrides": dict(self.trace_overrides),
        }


# Class weights from the first epoch on, so that they are in the trace too. Ours: at so low a rate
# and radius rounding does not grow from step to step to where it would hide an error.
_TRACE: dict[str, Any] = {"weighting": "reweight", "lr": 0.005, "rho": 0.05}

FULL = Sizes(
    subjects=((8, 83), (9, 50), (0, 256)),
    trace_architecture="resnet20",
    trace_epochs=3,
    trace_per_class=51,  # 509 images: four steps an epoch, the last one of fewer images
    trace_overrides=_TRACE,
    timed_per_class=300,
    timed_epochs=(10, 11, 12),
    products=((83, 7), (1000, 5), (5000, 3)),
    product_architecture="resnet32",
    nodes=100,
    float64_classes=(8, 3, 0),
    small_losses=(5, 20),
    many_losses=48,
    recipes=("ce-drw-sam", "ce-drw"),
    trained=("ce-drw-sam",),  # another one would take as long again
    train_architecture="resnet32",
    train_overrides={},
    keep_epochs=None,
    analyzed=(8, 7, 9, 5, 2, 0),
    tensor_side=4096,
)
TOY = Sizes(
    subjects=((8, 12), (9, 8), (0, 16)),
    trace_architecture="resnet8",
    trace_epochs=2,
    trace_per_class=6,
    trace_overrides=_TRACE | {"batch_size": 16},
    timed_per_class=4,
    timed_epochs=(10, 11),
    products=((3, 1), (5, 1)),
    product_architecture="resnet8",
    nodes=4,
    float64_classes=(8,),
    small_losses=(2,),
    many_losses=5,
    recipes=("ce-drw-sam", "ce-drw"),
    trained=("ce-drw-sam", "ce-drw"),
    train_architecture="resnet8",
    train_overrides={"epochs": 3, "batch_size": 32},
    keep_epochs=(2, 3),
    analyzed=(8, 0),
    tensor_side=64,
)
