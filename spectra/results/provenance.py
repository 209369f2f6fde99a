"""What a result is of: the weights, and the choices under which they were analyzed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from spectra.engines.settings import SolverSettings
from spectra.system.files.writing import WHEN_SET

# What recipes, architectures, data sets and normalisations say of themselves: plain values by name,
# kept as they came. Which names there are is theirs to say, and grows with them.
PlainValue = bool | int | float | str | list[float | list[float]] | None
Description = Mapping[str, PlainValue]
# The matrices whose spectra are taken.
HESSIAN, GAUSS_NEWTON = "hessian", "gauss-newton"


# Of the epochs, before re-weighting starts: 160 of 200 in the code of Rangwani et al. 2022.
DRW_START = 0.8


def drw_switch(epochs: int, start: float = DRW_START) -> int:
    """Return the 0-based epoch at which deferred re-weighting (DRW) starts, 1 at the least.

    Args:
        epochs: E.
        start: fraction of them that lies before it. The default gives 160 of 200, where the
            ``step`` schedule of learning rates drops first; 2/3 gives 60 of 90.
    """
    return max(1, round(start * epochs))


@dataclass(frozen=True)
class CheckpointIdentity:
    """The weights that were analyzed; None where a checkpoint does not say.

    Attributes:
        name: short identity for tables and figures, without folders.
        epoch: epochs of training done.
        recipe: name of the way it was trained.
        recipe_fields: all fields of the recipe.
        seed: of the training.
        architecture: what to build before loading the weights.
        class_counts: training images of each class; empty where unknown.
        digest: SHA-256 of the weights.
        data: what rebuilds the analyzed data, with its ``digest``.
        notes: what one should know before trusting the weights.
        warm_from: name of the checkpoint whose eigenvectors the solver started from, None for the
            first of a trajectory. A warm start moves a result within its tolerance, so it is part
            of what the result is of; left out of files of cold starts.
    """

    name: str
    epoch: int | None = None
    recipe: str | None = None
    recipe_fields: Description | None = None
    seed: int | None = None
    architecture: Description | None = None
    class_counts: tuple[int, ...] = ()
    digest: str | None = None
    data: Description | None = None
    notes: tuple[str, ...] = ()
    warm_from: str | msgspec.UnsetType | None = field(default=msgspec.UNSET, metadata=WHEN_SET)

    @property
    def title(self) -> str:
        """``name, epoch 100``, or the name alone."""
        return self.name if self.epoch is None else f"{self.name}, epoch {self.epoch}"

    @property
    def switch_epoch(self) -> int | None:
        """After how many epochs re-weighting set in; None where the recipe has no DRW."""
        fields = self.recipe_fields or {}
        epochs = fields.get("epochs")
        if fields.get("weighting") != "drw" or not isinstance(epochs, int):
            return None
        start = fields.get("drw_start", DRW_START)
        return drw_switch(epochs, start if isinstance(start, float) else DRW_START)


@dataclass(frozen=True)
class ClassGroup:
    """The classes of a group, and which of them were drawn at random to stand for all.

    Attributes:
        name: ``head``, ``mid``, ``tail`` ...
        classes: all of the group that have images.
        drawn: the random sample of them; empty where none was drawn.
    """

    name: str
    classes: tuple[int, ...]
    drawn: tuple[int, ...] = field(default=(), metadata=WHEN_SET)


@dataclass(frozen=True)
class AnalysisProtocol:
    """The choices under which losses were analyzed; None where a result does not state one.

    Attributes:
        images: ``plain``, ``frozen:K``, ``frozen:all`` or ``fresh``.
        split: ``train`` or ``test`` images.
        loss: ``ce``, ``train``, ``reference``, ``objective`` ...
        weight_decay: c of the training objective; left out of files of other losses.
        reduction: ``mean`` over the images of each loss, or ``global``: its share of the whole.
        images_per_class: limit; None: every image.
        groups: head, mid and tail as asked for, ``0-2/3-6/7-9``; None: by class size.
        class_groups: the classes of each group, where some were drawn at random or there are many;
            left out of other files.
        normalisation: of the images: ``name``, ``mean``, ``std``, ``scale``.
        dtype: ``float32`` or ``float64``.
        device: kind of device.
        parameters: names or globs of those that the Hessian is by; left out of files, and empty,
            where it is by all.
        matrix: ``hessian`` or ``gauss-newton``; left out of files of Hessians.
        micro_chunk: images in one piece of work; None: by image size.
        tuning: how products were computed; left out of files where it is ``default``.
        radius: r of the verdicts, parameter units.
        tau: relative tolerance of the verdicts.
        solver: engine, probes, steps, tolerances, seed.
        accuracy: ``as recorded`` where test accuracies are the checkpoint's own record; left out of
            files where they were computed, or are not known.
    """

    images: str | None = None
    split: str | None = None
    loss: str | None = None
    weight_decay: float | None = field(default=None, metadata=WHEN_SET)
    reduction: str | None = None
    images_per_class: int | None = None
    groups: str | None = None
    class_groups: tuple[ClassGroup, ...] = field(default=(), metadata=WHEN_SET)
    normalisation: Description | None = None
    dtype: str | None = None
    device: str | None = None
    parameters: tuple[str, ...] = field(default=(), metadata=WHEN_SET)
    matrix: str = field(default=HESSIAN, metadata=WHEN_SET)
    micro_chunk: int | None = None
    tuning: str = field(default="default", metadata=WHEN_SET)
    radius: float | None = None
    tau: float | None = None
    solver: SolverSettings | None = None
    accuracy: str | None = field(default=None, metadata=WHEN_SET)
