"""Spectra of classes recorded while a network trains."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spectra.classes.analyze_classes import analyze_chosen
from spectra.classes.caller import room_for_images
from spectra.classes.chosen_images import choose_of_data
from spectra.classes.labels import Classes
from spectra.engines.forecasts.planned_products import planned_products
from spectra.engines.settings import SolverSettings
from spectra.errors import InputError, check_integer
from spectra.objective.per_sample import PerSampleLoss
from spectra.objective.placement import indexed
from spectra.objective.plain_model import plain_model
from spectra.objective.samples.forward import Forward
from spectra.results.analysis import Analysis
from spectra.results.writers.interface import EpochWriter
from spectra.system.progress import Progress

logger = logging.getLogger(__name__)

# Ours: ten classes then take as long as training on 50,000 to 75,000 images at most. On the
# bundled digits networks (P = 19,130) both ends of every class tried have converged to 4 digits.
IMAGES_PER_CLASS = 50
STEPS = 40


@dataclass(frozen=True)
class RecordingCost:
    """What one recording takes at most.

    Attributes:
        losses: how many are analyzed.
        images: of all of them, those in several losses several times.
        products: Hessian-vector products of one loss, at most.
        image_products: products times images, of all losses, at most; what
            :attr:`spectra.LossAnalysis.image_products` counts.
    """

    losses: int
    images: int
    products: int
    image_products: int

    def __str__(self) -> str:
        return (
            f"at most {self.products} products for each of {self.losses} losses, "
            f"{self.image_products:,} image products in all: as long as "
            f"{2 * self.image_products:,} to {3 * self.image_products:,} images take to train"
        )


@dataclass(frozen=True)
class RecordingTook:
    """What one recording took.

    Attributes:
        epoch: after which.
        image_products: products times images, of all losses.
        seconds: by the clock.
    """

    epoch: int
    image_products: float
    seconds: float


class ClassSpectra:
    """Records the spectra of classes every few epochs of a training loop of one's own.

    The same images serve every recording: they are read when the recorder is built, and held in
    memory. A recording copies the model; its mode, gradients, buffers, dtype and device stay, and
    so does the random state: a training goes on as if nothing had been recorded.

    Cost: nothing between recordings. A recording takes at most ``num_probes · num_steps`` products
    of each loss (more where ``max_steps`` is more) and 11 to check them; :meth:`cost` says what
    that is for one's images, and :attr:`took` what it was. The checks of the first recording are
    not counted. What bending does is left out, as it would double that.

    Args:
        data: see :func:`spectra.analyze_classes`.
        every: epochs from one recording to the next.
        classes: see :func:`spectra.analyze_classes`.
        images_per_class: limit on the images of a class; None: every image.
        forward: see :func:`spectra.analyze_classes`.
        loss: per-sample loss of outputs and labels; None: cross-entropy.
        num_probes: random probes of the density, at least 1.
        num_steps: Lanczos steps for each.
        max_steps: limit on the steps of the run that the extremes come from; None: ``num_steps``.
        dtype: of the products.
        device: where to compute; None: where the model is.
        seed: of probes, the draw of images, and augmentations.
        memory: bytes that the process may hold in all; None: see :func:`spectra.analyze_classes`.
        name: of the model, for tables and figures.
        on_progress: see :func:`spectra.analyze_classes`.
        writers: where each recording is written as soon as it is there, such as
            :class:`spectra.TensorBoardWriter`; whoever opened them closes them.

    Raises:
        InputError: an argument is not as above.

    >>> import torch, spectra
    >>> rng = torch.Generator().manual_seed(0)
    >>> images, labels = torch.randn(30, 4, generator=rng), torch.arange(30) % 3
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
    >>> recorder = spectra.ClassSpectra((images, labels), every=2, classes=[0, 2], num_steps=4)
    >>> for epoch in range(1, 5):
    ...     pass  # one epoch of training
    ...     found = recorder.record(model, epoch)
    >>> [analysis.checkpoint.epoch for analysis in recorder.analyses]
    [2, 4]
    """

    def __init__(
        self,
        data: Any,
        *,
        every: int = 5,
        classes: Classes = "all",
        images_per_class: int | None = IMAGES_PER_CLASS,
        forward: Forward | None = None,
        loss: PerSampleLoss | None = None,
        num_probes: int = 1,
        num_steps: int = STEPS,
        max_steps: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        seed: int = 0,
        memory: int | None = None,
        name: str | None = None,
        on_progress: Progress | None = None,
        writers: Sequence[EpochWriter] = (),
    ) -> None:
        check_integer("every", every)
        if every < 1:
            raise InputError(f"every must be at least 1 epoch, got {every}")
        if num_probes < 1:
            raise InputError(
                f"num_probes must be at least 1, got {num_probes}: without one, no bound on the "
                "cost is known; spectra.analyze_classes takes 0"
            )
        self.every = every
        self.settings = SolverSettings(
            num_probes=num_probes,
            num_steps=num_steps,
            max_steps=num_steps if max_steps is None else max_steps,
            seed=seed,
            bending=False,  # what a recording costs at the most is told before it
        )
        self._device = device
        self._chosen = choose_of_data(
            data,
            classes,
            per_class=images_per_class,
            seed=seed,
            room=room_for_images(indexed("cpu" if device is None else device), memory),
            on_progress=on_progress,
        )
        self._forward, self._loss, self._dtype = forward, loss, dtype
        self._memory, self._name, self._on_progress = memory, name, on_progress
        self._writers = tuple(writers)
        self._found: dict[int, Analysis] = {}
        self._took: list[RecordingTook] = []

    @property
    def analyses(self) -> tuple[Analysis, ...]:
        """What was found, in the order of the epochs: for :func:`figures.plot_trajectory`."""
        return tuple(self._found[epoch] for epoch in sorted(self._found))

    @property
    def took(self) -> tuple[RecordingTook, ...]:
        """What each recording took, in the order in which they were made."""
        return tuple(self._took)

    def due(self, epoch: int) -> bool:
        """Return whether :meth:`record` records after ``epoch`` epochs."""
        return epoch % self.every == 0

    def cost(self, model: nn.Module) -> RecordingCost:
        """Return what a recording of ``model`` takes at most.

        >>> import torch, spectra
        >>> data = torch.randn(30, 4), torch.arange(30) % 3
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
        >>> print(spectra.ClassSpectra(data).cost(model))  # doctest: +NORMALIZE_WHITESPACE
        at most 21 products for each of 3 losses, 773 image products in all: as long as 1,546 to
        2,319 images take to train
        """
        size = sum(p.numel() for p in plain_model(model).parameters() if p.requires_grad)
        counts = [len(choice.index) for choice in self._chosen.choices.values()]
        planned = [planned_products(self.settings, size=size, images=n) for n in counts]
        total = sum(plan.of_images(n).most for plan, n in zip(planned, counts, strict=True))
        # Of views, so without a small class's bootstrap, which is no whole number of products.
        alone = planned_products(self.settings, size=size, images=1, independent=False)
        return RecordingCost(len(counts), sum(counts), math.ceil(alone.most), math.ceil(total))

    def record(self, model: nn.Module, epoch: int) -> Analysis | None:
        """Analyze ``model`` if a recording is due; else do nothing and return None.

        Args:
            model: as it is trained; a wrapper of ``torch.compile`` or of data parallelism is taken
                off.
            epoch: epochs of training done.

        Raises:
            InputError: this epoch has been recorded or is no integer, or the model does not
                fit data or memory.
            NonFiniteError: a product held NaN or infinity: the training has diverged.
            OperatorError: the loss is no function of the weights alone, or not a mean over images;
                tried at the first recording.
        """
        check_integer("epoch", epoch)
        if not self.due(epoch):
            return None
        if epoch in self._found:
            raise InputError(
                f"epoch {epoch} has been recorded; take another ClassSpectra for another training"
            )
        first = not self._found
        if first:
            logger.info("recording takes %s", self.cost(model))
        begun = time.perf_counter()
        found = analyze_chosen(
            plain_model(model),
            self._chosen,
            settings=self.settings,
            forward=self._forward,
            loss=self._loss,
            dtype=self._dtype,
            device=self._device,
            memory=self._memory,
            name=self._name,
            epoch=epoch,
            check=first,
            on_progress=self._on_progress,
        )
        self._found[epoch] = found
        products = sum(record.image_products or 0 for record in found.records)
        self._took.append(RecordingTook(epoch, products, time.perf_counter() - begun))
        logger.info(
            "epoch %d: %.0f image products, %.3g s", epoch, products, self._took[-1].seconds
        )
        for writer in self._writers:
            writer.write(found)
        return found

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``epoch-0005.json`` and so on; :func:`spectra.load_analysis` reads them."""
        paths = []
        for epoch, analysis in sorted(self._found.items()):
            path = Path(folder) / f"epoch-{epoch:04d}.json"
            analysis.save(path)
            paths.append(path)
        return paths
