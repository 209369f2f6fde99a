"""What the seeds of one recipe reached."""

from dataclasses import dataclass

from spectra.errors import InputError

ACCURACIES = ("overall", "head", "mid", "tail")
RATIOS = ("ratio_head", "ratio_tail")


@dataclass(frozen=True)
class RecipeRow:
    """One recipe: what each seed reached.

    Attributes:
        recipe: its name.
        seeds: one for each run; every tuple below has one value for each, or is empty where the
            quantity was not measured.
        overall: accuracy on held-out images, between 0 and 1.
        head: likewise, of the classes with the most training images.
        mid: likewise.
        tail: likewise, of those with the fewest.
        ratio_head: |λmin/λmax| of the head: of one class, or one number for several; say which in
            the note under the table.
        ratio_tail: likewise of the tail.
    """

    recipe: str
    seeds: tuple[int, ...]
    overall: tuple[float, ...] = ()
    head: tuple[float, ...] = ()
    mid: tuple[float, ...] = ()
    tail: tuple[float, ...] = ()
    ratio_head: tuple[float, ...] = ()
    ratio_tail: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse rows whose numbers do not belong to their seeds."""
        for name in ACCURACIES + RATIOS:
            values = getattr(self, name)
            if len(values) not in (0, len(self.seeds)):
                raise InputError(
                    f"{self.recipe}: {name} must have one value for each of the "
                    f"{len(self.seeds)} seeds, got {len(values)}"
                )
            if name in ACCURACIES and any(not 0 <= v <= 1 for v in values):
                raise InputError(f"{self.recipe}: {name} must lie in 0..1; give fractions")
