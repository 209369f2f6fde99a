"""Finding the images that a checkpoint was trained on, and what they go through."""

from dataclasses import dataclass, replace

from checkpoints.checkpoint import Checkpoint
from checkpoints.data import DataRequest, ImageData, Normalisation, load_data
from checkpoints.data.normalisations import from_images, parse_normalisation
from spectra.errors import InputError
from spectra.results.plain import from_plain


def data_for(
    checkpoint: Checkpoint, source: str | None = None, *, request: DataRequest | None = None
) -> tuple[ImageData, tuple[str, ...]]:
    """Return the data of a checkpoint, and notes on how well it fits.

    Without ``source`` the checkpoint's own description is rebuilt and its digest compared; with
    it, the profile is the checkpoint's where the kind of source is the same.

    Args:
        checkpoint: whose data is wanted.
        source: as in :class:`checkpoints.data.DataRequest`.
        request: overrides the profile, with ``source`` filled in.

    Raises:
        InputError: the checkpoint does not say and ``source`` is None, the data is not where it
            should be, or it is not what the checkpoint was trained on.
    """
    known = _known(checkpoint)
    if source is None and known is None:
        raise InputError(
            f"{checkpoint.name} does not say what it was trained on; give --data "
            "(digits, cifar10:FOLDER, cifar100:FOLDER or npz:TRAIN.npz,TEST.npz)"
        )
    if source is None:
        source = known.found_at() if known else ""
    if request is None:
        request = DataRequest(source)
        if known is not None and known.source == source.partition(":")[0]:
            request = DataRequest(
                source,
                profile=known.profile,
                imbalance_factor=known.imbalance_factor,
                n_max=known.n_max,
                selection_seed=known.selection_seed,
            )
    else:
        request = replace(request, source=source)
    data = load_data(request)
    outputs = checkpoint.architecture.num_classes
    if data.num_classes > outputs:
        raise InputError(
            f"data {data.name} has {data.num_classes} classes, {checkpoint.name} has {outputs} "
            "outputs; give the data it was trained on with --data"
        )
    notes: tuple[str, ...] = ()
    if known is not None and known.digest and data.digest() != known.digest:
        notes = (
            f"the training images of {data.name} are not those that {checkpoint.name} was "
            "trained on (digests differ)",
        )
    return replace(data, num_classes=outputs), notes


def normalisation_for(
    checkpoint: Checkpoint, data: ImageData, asked: str | None = None
) -> Normalisation:
    """Return what images of ``data`` go through before they reach a checkpoint's network.

    Args:
        checkpoint: whose network.
        data: of the images.
        asked: as in ``parse_normalisation``, or ``data``: the moments of the training images;
            None: what the checkpoint recorded, else the data's default.

    Raises:
        InputError: ``asked`` reads wrong, or is of other channels.
    """
    if asked is None:
        return checkpoint.normalisation or data.normalisation
    images, scale = data.train.images, data.normalisation.scale
    if asked == "data":
        return from_images(images, scale)
    return parse_normalisation(asked, channels=images.shape[1], scale=scale)


def with_data(
    checkpoint: Checkpoint, source: str | None, *, normalisation: str | None = None
) -> Checkpoint:
    """Return a checkpoint with a record of what it was trained on.

    Args:
        checkpoint: another's, most often, which does not say.
        source: of the data, as in :class:`checkpoints.data.DataRequest`; None: leave it open.
        normalisation: as in ``parse_normalisation``; None: as recorded, else the data's.

    Raises:
        InputError: the data is not there, does not fit, or the normalisation reads wrong.
    """
    if source is not None:
        data, _ = data_for(checkpoint, source)
        checkpoint = replace(
            checkpoint,
            data={**data.description, "digest": data.digest()},
            class_counts=data.class_counts,
            normalisation=normalisation_for(checkpoint, data),
        )
    if normalisation is None:
        return checkpoint
    channels = checkpoint.architecture.in_channels
    return replace(checkpoint, normalisation=parse_normalisation(normalisation, channels=channels))


@dataclass(frozen=True)
class _KnownData:
    """What a checkpoint says of the images that it was trained on."""

    source: str
    name: str | None = None
    test_name: str | None = None
    profile: str | None = None
    imbalance_factor: float | None = None
    n_max: int | None = None
    selection_seed: int = 0
    digest: str | None = None

    def found_at(self) -> str:
        """Return the source as a request names it; of files, without their folder."""
        if self.source != "npz":
            return self.source
        files = [f"{name}.npz" for name in (self.name, self.test_name) if name]
        return "npz:" + ",".join(files)


def _known(checkpoint: Checkpoint) -> _KnownData | None:
    if checkpoint.data is None:
        return None
    return from_plain(checkpoint.data, _KnownData, origin=checkpoint.name, at="data")
