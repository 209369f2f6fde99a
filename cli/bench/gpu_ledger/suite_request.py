"""What a run of the suite is asked for."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from cli.bench.gpu_references.sizes import FULL, SECONDS, TOY, Sizes
from spectra.errors import InputError


@dataclass(frozen=True)
class SuiteRequest:
    """What to run.

    Attributes:
        folder: results, weights, and what is sent.
        prepared: folder that ``--prepare`` wrote; None: ``folder/prepared``, which a dry run makes.
        seconds: after which the suite has stopped.
        device: torch device.
        dry_run: walk every step at toy size, on the CPU.
        sizes: how large everything is; by default what ``dry_run`` says.
        recipes: to train and analyze, in their order; None: those that ``sizes`` names.

    Raises:
        InputError: the seconds are no positive number, or there are no references of a recipe.
    """

    folder: Path
    prepared: Path | None = None
    seconds: float = SECONDS
    device: str = "cuda"
    dry_run: bool = False
    sizes: Sizes = field(default=FULL)
    recipes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.seconds < float("inf"):
            raise InputError(f"seconds must be positive and finite, got {self.seconds}")
        if self.dry_run:
            object.__setattr__(self, "sizes", TOY)
            object.__setattr__(self, "device", "cpu")
        unknown = sorted(set(self.trained) - set(self.sizes.recipes))
        if unknown:
            raise InputError(
                f"recipes of the suite are {', '.join(self.sizes.recipes)}, got "
                f"{', '.join(unknown)}; or none, to train nothing"
            )

    @property
    def trained(self) -> tuple[str, ...]:
        """The recipes to train and analyze."""
        return self.sizes.trained if self.recipes is None else self.recipes

    @property
    def references(self) -> Path:
        """Where the prepared images and references lie."""
        return self.prepared or self.folder / "prepared"

    @property
    def on_gpu(self) -> bool:
        """Whether this runs on a GPU."""
        return torch.device(self.device).type == "cuda"


def parse_recipes(text: str | None) -> tuple[str, ...] | None:
    """Read ``--recipes``: names joined by commas, or ``none``; None stays None."""
    if text is None or text.strip() == "none":
        return None if text is None else ()
    return tuple(name.strip() for name in text.split(",") if name.strip())
