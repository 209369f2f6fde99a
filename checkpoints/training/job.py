"""One training run: what is trained, how, on what, and where it lies."""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from checkpoints.checkpoint import Checkpoint
from checkpoints.data.dataset import ImageData
from checkpoints.models import Architecture
from checkpoints.recipes.recipe import Recipe
from checkpoints.training.execution import EXACT, Execution
from spectra.errors import InputError
from spectra.results.provenance import PlainValue
from spectra.system.files.reading import file_digest


@dataclass(frozen=True)
class TrainingJob:
    """One training run.

    Attributes:
        recipe: how to train.
        data: on what.
        architecture: which network.
        seed: of initial weights, order of images and augmentation.
        folder: where checkpoints, history and the state for resuming go.
        keep_epochs: epochs (counted as done) to keep a checkpoint of; None: :func:`default_epochs`.
        name: of the run, in checkpoints and figures.
        shared: folder of states at the DRW switch: runs that differ in nothing before it, such as
            CE and CE+DRW, take the first part from each other, to the same bytes; None: each
            trains it. Not where an epoch before the switch is to be kept.
        start: weights to begin from, after that many epochs of ``recipe``'s schedule, with no
            momentum; None: fresh ones, at epoch 0. Says what another recipe makes of a network.
        execution: how the network's passes are computed.

    Raises:
        InputError: an optimizer that a compiled network or a captured step does not serve.
    """

    recipe: Recipe
    data: ImageData
    architecture: Architecture
    seed: int
    folder: Path
    keep_epochs: tuple[int, ...] | None = None
    name: str | None = None
    shared: Path | None = None
    start: Checkpoint | None = None
    execution: Execution = EXACT

    def __post_init__(self) -> None:
        self.execution.check(self.recipe)

    @property
    def begun(self) -> int:
        """Epochs that lie behind the weights it begins from; 0 for fresh ones."""
        return 0 if self.start is None else self.start.epoch or 0

    @property
    def kept(self) -> tuple[int, ...]:
        """The epochs to keep, in order, the last epoch always."""
        keep = self.keep_epochs
        if keep is None:
            keep = tuple(e for e in default_epochs(self.recipe) if e > self.begun)
        return tuple(sorted({*keep, self.recipe.epochs}))

    @property
    def shares(self) -> bool:
        """Whether :attr:`shared` serves it: it is like others until the switch, and keeps less."""
        if self.shared is None or self.start is not None:
            return False
        keeps_earlier = any(0 < e <= self.recipe.drw_switch for e in self.kept)
        return self.recipe.weighting in ("none", "drw") and not keeps_earlier

    @functools.cached_property
    def described_data(self) -> dict[str, PlainValue]:
        """What the checkpoints say of the data."""
        return {**self.data.description, "digest": self.data.digest()}

    def identity(self) -> dict[str, Any]:
        """Return what a run must agree in to be resumed, as JSON holds it."""
        return {
            "recipe": self.recipe.to_dict(),
            "architecture": self.architecture.to_dict(),
            "data": self.described_data,
            "test_data": self.data.test_digest(),
            "seed": self.seed,
            "start": self.start and self.start.digest(),
            "execution": self.execution.identity,
        }

    def check(self) -> None:
        """Raise InputError where its parts do not fit each other."""
        if self.start is not None:
            self._check_start(self.start)
        outside = [e for e in self.keep_epochs or () if not self.begun <= e <= self.recipe.epochs]
        if outside:
            raise InputError(
                f"epochs to keep must lie in {self.begun}..{self.recipe.epochs}, got "
                f"{list(self.keep_epochs or ())}"
            )
        if min(self.data.class_counts) == 0:
            empty = [c for c, n in enumerate(self.data.class_counts) if n == 0]
            raise InputError(f"classes {empty} have no training images; every class needs one")
        if self.recipe.head == "cosine" and self.architecture.head != "cosine":
            raise InputError(
                f"loss {self.recipe.loss} is defined on a cosine head, got a linear one"
            )

    def _check_start(self, start: Checkpoint) -> None:
        if self.begun >= self.recipe.epochs:
            raise InputError(
                f"{start.name} has {self.begun} epochs behind it and {self.recipe.name} trains for "
                f"{self.recipe.epochs}; give more with --epochs"
            )
        classes, here = start.architecture.num_classes, self.data.num_classes
        if classes != here:
            raise InputError(
                f"{start.name} has {classes} classes, this run {here}; they must agree"
            )
        for what, theirs, ours in (
            ("architecture", start.architecture, self.architecture),
            ("normalisation", start.normalisation, self.data.normalisation),
        ):
            there = {} if theirs is None else asdict(theirs)
            differ = [key for key in there if there[key] != asdict(ours).get(key)]
            if differ:
                raise InputError(
                    f"{start.name} has another {what} than this run: "
                    + ", ".join(f"{k} {there[k]}, here {asdict(ours).get(k)}" for k in differ)
                )


def default_epochs(recipe: Recipe) -> tuple[int, ...]:
    """Return the epochs of the paper's trajectories, scaled, and the first one after the switch.

    Of 200: 10, 50, 100, 160, 161, 170, 190, 200; 160 is just before the DRW switch, 161 just after.
    """
    fractions = (0.05, 0.25, 0.5, 0.85, 0.95, 1.0)
    epochs, switch = recipe.epochs, recipe.drw_switch
    wanted = {max(1, round(f * epochs)) for f in fractions} | {switch, switch + 1}
    return tuple(sorted(e for e in wanted if e <= epochs))


def damaged_checkpoints(
    job: TrainingJob, kept: Mapping[str, str] | None, *, since: int, until: int
) -> list[str]:
    """Return what is wrong with checkpoints of a run: of epochs to keep that lie behind it.

    Args:
        job: the run.
        kept: SHA-256 of each by its epoch, as it was written; None: not known, they must be there.
        since: epoch, included.
        until: epoch, included.

    Returns:
        ``FILE is gone``, ``FILE is damaged`` for each.
    """
    wrong = []
    for epoch in (e for e in job.kept if since <= e <= until):
        path = checkpoint_path(job.folder, epoch)
        if not path.is_file():
            wrong.append(f"{path} is gone")
        elif kept is not None and file_digest(path) != kept.get(str(epoch)):
            wrong.append(f"{path} is damaged")
    return wrong


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """Return where the checkpoint after ``epoch`` epochs lies in a run's folder."""
    return folder / "checkpoints" / f"epoch-{epoch:04d}.safetensors"


def state_path(folder: Path) -> Path:
    """Return where a run's folder keeps the state to resume from."""
    return folder / "resume.safetensors"
