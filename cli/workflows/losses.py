"""What is analyzed of a checkpoint: the request, and the Hessian of each loss that it names."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from checkpoints import Checkpoint, ImageData
from checkpoints.data import ImageProtocol, Normalisation, head_mid_tail
from checkpoints.data.longtail import parse_groups
from checkpoints.data.normalisations import from_images, parse_normalisation
from checkpoints.data.protocols import FRESH, FROZEN
from cli.workflows.selection import REDUCTIONS, LossTerms, choose_images, loss_terms
from spectra import HessianOperator, LazyImages, SolverSettings, make_generator
from spectra.errors import InputError
from spectra.fresh import Draw
from spectra.products import Tuning, parse_tuning
from spectra.verdict import TAU

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class AnalysisRequest:
    """What to compute of a checkpoint.

    Attributes:
        classes: ``all``, ``overall``, ``head``, ``mid``, ``tail``, labels; joined by commas.
        split: ``train`` or ``test`` images.
        loss: ``ce``, ``train`` or ``reference``, see :func:`cli.workflows.selection.loss_terms`.
        reduction: ``mean`` over the images of each loss, or ``global``: its share of the whole.
        groups: ``0-2/3-6/7-9``; None: the paper's split by class size.
        normalisation: name or numbers, see ``parse_normalisation``, or ``data``; None: as the
            checkpoint recorded, else the data's default.
        images_per_class: limit; None: every image.
        dtype: ``float32`` or ``float64``.
        device: torch device.
        images: ``plain``, ``frozen:K``, ``frozen:all`` or ``fresh``, see
            :class:`checkpoints.data.ImageProtocol`; crops and flips are those of the recipe.
        radius: r of the verdict; None: the recipe's last ρ, else .1.
        tau: relative tolerance of the verdict.
        micro_chunk: images in one piece of work; None: by image size.
        memory: bytes that the process may hold in all; None: half of what is free, of a card 85 %.
        tuning: how products are computed, see :func:`spectra.products.parse_tuning`.
        deterministic: refuse a tuning that may give other bytes each time.
        solver: engine, probes, steps, seed.
    """

    classes: str = "all"
    split: str = "train"
    loss: str = "ce"
    reduction: str = "mean"
    groups: str | None = None
    normalisation: str | None = None
    images_per_class: int | None = None
    dtype: str = "float32"
    device: str = "cpu"
    images: str = "plain"
    radius: float | None = None
    tau: float = TAU
    micro_chunk: int | None = None
    memory: int | None = None
    tuning: str = "default"
    deterministic: bool = False
    solver: SolverSettings = field(default_factory=SolverSettings)

    def __post_init__(self) -> None:
        solver = self.solver
        for name, value in (("radius", self.radius), ("tau", self.tau), ("tol", solver.tol)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"{name} must be positive and finite, got {value}")
        for name, count in (
            ("max-steps", solver.max_steps),
            ("images-per-class", self.images_per_class),
            ("micro-chunk", self.micro_chunk),
        ):
            if count is not None and count < 1:
                raise InputError(f"{name} must be at least 1, got {count}")
        tuning = self.parsed_tuning
        if solver.basis == "none" and (isinstance(tuning, str) or not tuning.deterministic):
            raise InputError(
                "basis none repeats the products of a run, for which a tuning must give the same "
                f"bytes each time; leave out --basis none or --tuning {self.tuning}"
            )
        if ImageProtocol.parse(self.images).kind == FRESH and solver.certify_below:
            raise InputError(
                "nothing is certified of images fresh, which have no fixed matrix; leave out "
                "--certify-below, or take --images plain or frozen:K"
            )

    @property
    def parsed_tuning(self) -> Tuning | str:
        """The tuning as :class:`spectra.HessianOperator` takes it."""
        return parse_tuning(self.tuning, deterministic=self.deterministic)

    def groups_of(self, class_counts: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Return head, mid and tail."""
        if self.groups is not None:
            return parse_groups(self.groups, num_classes=len(class_counts))
        return head_mid_tail(class_counts)


@dataclass(frozen=True)
class Losses:
    """The losses of one checkpoint over its data, as a request wants them.

    Attributes:
        model: the network.
        data: images.
        request: what is asked for.
        normalisation: of the images.
        terms: per-sample loss and class weights.
        protocol: which images.
    """

    model: torch.nn.Module
    data: ImageData
    request: AnalysisRequest
    normalisation: Normalisation
    terms: LossTerms
    protocol: ImageProtocol

    @classmethod
    def of(cls, checkpoint: Checkpoint, data: ImageData, request: AnalysisRequest) -> "Losses":
        """Put together what ``request`` means for ``checkpoint``.

        Raises:
            InputError: the request does not fit checkpoint or data.
        """
        if request.reduction not in REDUCTIONS:
            raise InputError(
                f"reduction must be one of {', '.join(REDUCTIONS)}, got {request.reduction!r}"
            )
        if request.dtype not in DTYPES:
            raise InputError(f"dtype must be one of {', '.join(DTYPES)}, got {request.dtype!r}")
        counts = checkpoint.class_counts or data.class_counts
        return cls(
            checkpoint.model(),
            data,
            request,
            _normalisation(request, checkpoint, data),
            loss_terms(checkpoint, request.loss, counts),
            _image_protocol(request, checkpoint),
        )

    def operator(
        self, label: str, classes: tuple[int, ...], *, check: bool
    ) -> tuple[HessianOperator, float, Draw | None]:
        """Return the Hessian, the factor of its loss, and where images are drawn anew, how.

        Args:
            label: names the loss; the draws of augmentations depend on it.
            classes: whose images.
            check: probe the operator, see :class:`spectra.HessianOperator`.
        """
        request, data, protocol = self.request, self.data, self.protocol
        choice = choose_images(
            data,
            request.split,
            classes,
            self.terms.weights,
            per_class=request.images_per_class,
            seed=request.solver.seed,
        )
        subset = data.split(request.split).subset(choice.index)
        dtype, views = DTYPES[request.dtype], protocol.views
        generator = make_generator(request.solver.seed, "augmentation", request.split, label)
        images, draw = self._images(subset.images, generator)
        op = HessianOperator(
            self.model,
            images,
            subset.labels.repeat_interleave(views),
            loss=self.terms.loss,
            weights=choice.weights.repeat_interleave(views),
            dtype=dtype,
            device=request.device,
            micro_chunk=request.micro_chunk,
            memory_budget=0,
            tuning=request.parsed_tuning,
            check=check,
        )
        return op, choice.share if request.reduction == "global" else 1.0, draw

    def _images(
        self, raw: Tensor, generator: torch.Generator
    ) -> tuple[Tensor | LazyImages, Draw | None]:
        """Return the images that the protocol makes of ``raw``, and how to draw them anew."""
        dtype = DTYPES[self.request.dtype]
        raw = raw.to(self.request.device)  # a quarter of what the finished images would be

        def finish(images: Tensor) -> Tensor:
            return self.normalisation(images, dtype)

        if self.protocol.kind == FROZEN:
            return self.protocol.frozen(raw, finish, generator), None
        if self.protocol.kind == FRESH:
            draw = self.protocol.fresh(raw, finish, generator)
            return draw(), draw
        return finish(raw), None


def _normalisation(
    request: AnalysisRequest, checkpoint: Checkpoint, data: ImageData
) -> Normalisation:
    if request.normalisation is None:
        return checkpoint.normalisation or data.normalisation
    images, scale = data.train.images, data.normalisation.scale
    if request.normalisation == "data":
        return from_images(images, scale)
    return parse_normalisation(request.normalisation, channels=images.shape[1], scale=scale)


def _image_protocol(request: AnalysisRequest, checkpoint: Checkpoint) -> ImageProtocol:
    """Return the choice of images, with the crops and flips that the checkpoint was trained with.

    Raises:
        InputError: it reads wrong, or the recipe has no augmentation to draw from.
    """
    recipe = checkpoint.recipe
    if recipe is None:  # the published code's, and most strangers'
        return ImageProtocol.parse(request.images)
    return ImageProtocol.parse(request.images, crop=recipe.augment_crop, flip=recipe.augment_flip)
