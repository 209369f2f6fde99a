"""What is analyzed of a checkpoint: the request, and the Hessian of each loss that it names."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from checkpoints.analysis.analyzed_loss import LossTerms, loss_terms
from checkpoints.analysis.data_of import check_taken, finished, normalisation_for
from checkpoints.analysis.inputs.photo_memory import decode_for, photos_within
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import DTYPES, REDUCTIONS
from checkpoints.data import ImageData, ImageProtocol, Normalisation
from checkpoints.data.photos.cached import CachedPhotos
from checkpoints.data.photos.photos import Photos
from checkpoints.data.photos.views import fresh, frozen, with_views
from checkpoints.data.views import FRESH, FROZEN, PLAIN
from spectra import HessianOperator, make_generator
from spectra.classes.chosen_images import ImageChoice, choose_images
from spectra.classes.each_loss import PreparedLoss
from spectra.engines.memory import check_room_to_build
from spectra.errors import InputError
from spectra.objective.parameter_slices import trained_and_held
from spectra.objective.samples.input_tree import Samples
from spectra.operators.fresh import Draw
from spectra.operators.many_losses.same_network import over_samples

TORCH_DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in DTYPES}


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
        photos: the split, where its images lie in files: each is decoded once for all losses, as
            far as memory allows.
    """

    model: torch.nn.Module
    data: ImageData
    request: AnalysisRequest
    normalisation: Normalisation
    terms: LossTerms
    protocol: ImageProtocol
    photos: CachedPhotos | None = None

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
        model = checkpoint.model()
        normalisation = normalisation_for(checkpoint, data, request.normalisation)
        first = finished(data.train.subset(torch.arange(1)), normalisation, torch.float32, "cpu")
        check_taken(checkpoint, model, first, data)
        return cls(
            model,
            data,
            request,
            normalisation,
            loss_terms(checkpoint, request.loss, counts, request.weight_decay),
            _image_protocol(request, checkpoint, data),
            photos_within(request.memory, data.split(request.split), request.device),
        )

    def choose(self, classes: tuple[int, ...]) -> ImageChoice:
        """Return which images of the split a loss is over, and their weights.

        Raises:
            InputError: the classes have no images.
        """
        request = self.request
        return choose_images(
            self.data.split(request.split).labels,
            classes,
            self.terms.weights,
            per_class=request.images_per_class,
            seed=request.solver.seed,
            split=request.split,
            where=f"the {request.split} split of {self.data.name}",
        )

    def prepare(
        self,
        label: str,
        classes: tuple[int, ...],
        *,
        check: bool,
        like: HessianOperator | None = None,
    ) -> PreparedLoss:
        """Return the Hessian of one loss, and where images are drawn anew, how.

        See :class:`spectra.classes.each_loss.Prepare`. The draws of augmentations depend on the
        label.

        Raises:
            InputError: the classes have no images.
        """
        request, data, protocol = self.request, self.data, self.protocol
        choice = self.choose(classes)
        dtype, views = TORCH_DTYPES[request.dtype], protocol.views
        generator = make_generator(request.solver.seed, "augmentation", request.split, label)
        images, draw = self._inputs(choice.index, generator)
        labels = data.split(request.split).labels[choice.index].repeat_interleave(views)
        weights = choice.weights.repeat_interleave(views)
        factor = choice.share if request.reduction == "global" else 1.0
        prepared = functools.partial(
            PreparedLoss,
            factor=factor,
            draw=draw,
            independent=views == 1,
            gauss_newton=request.gauss_newton,
        )
        if like is not None:
            return prepared(over_samples(like, images, labels, weights=weights, label=label))
        if check:
            sizes = trained_and_held(self.model, request.parameters or None)
            check_room_to_build(sizes, request.memory, request.device)
        op = HessianOperator(
            self.model,
            images,
            labels,
            loss=self.terms.loss,
            weights=weights,
            dtype=dtype,
            device=request.device,
            parameters=request.parameters or None,
            micro_chunk=request.micro_chunk,
            memory_budget=0,
            tuning=request.parsed_tuning,
            check=check,
            label=label,
            weight_decay=self.terms.weight_decay or 0.0,
        )
        return prepared(op)

    def _inputs(self, index: Tensor, generator: torch.Generator) -> tuple[Samples, Draw | None]:
        """Return the images that the protocol makes of the chosen, and how to draw them anew."""
        dtype, flip = TORCH_DTYPES[self.request.dtype], self.protocol.flip

        def finish(images: Tensor) -> Tensor:
            return self.normalisation(images, dtype)

        if self.photos is not None and self.protocol.kind == FRESH:
            draw = fresh(self.photos, index, finish, generator, self.request.device, flip=flip)
            return draw(), draw
        if self.photos is not None and self.protocol.kind == FROZEN:
            some = with_views(self.photos.photos.subset(index), self.protocol.views, generator)
            views = self.photos.beside(some)
            decode_for(views, torch.arange(len(views.photos)))
            return frozen(views, finish, self.request.device, flip=flip), None
        if self.photos is not None:
            decode_for(self.photos, index)
            return self.photos.lazily(index, finish, self.request.device), None
        chosen = self.data.split(self.request.split).subset(index)
        if self.protocol.kind == PLAIN:
            return finished(chosen, self.normalisation, dtype, self.request.device), None
        raw = chosen.images.to(self.request.device)  # a quarter of what the finished would be
        if self.protocol.kind == FROZEN:
            return self.protocol.frozen(raw, finish, generator), None
        draw = self.protocol.fresh(raw, finish, generator)
        return draw(), draw


def _image_protocol(
    request: AnalysisRequest, checkpoint: Checkpoint, data: ImageData
) -> ImageProtocol:
    """Return the choice of images, with the crops and flips that the checkpoint was trained with.

    Raises:
        InputError: it reads wrong, or the recipe has no augmentation to draw from, or every view of
            images that lie in files is asked for.
    """
    recipe = checkpoint.recipe
    if isinstance(data.train, Photos):  # whose crops have no padding
        return _protocol_of_photos(request, data, flip=recipe is None or recipe.augment_flip)
    if recipe is None:  # the published code's, and most strangers'
        return ImageProtocol.parse(request.images)
    return ImageProtocol.parse(request.images, crop=recipe.augment_crop, flip=recipe.augment_flip)


def _protocol_of_photos(request: AnalysisRequest, data: ImageData, *, flip: bool) -> ImageProtocol:
    protocol = ImageProtocol.parse(request.images, flip=flip)
    if protocol.kind == FROZEN and protocol.draws is None:
        raise InputError(
            f"images {request.images} are every crop and flip, and the crops of {data.name} are "
            "cut at random places and sizes; take --images frozen:K"
        )
    return protocol
