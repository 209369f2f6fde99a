"""Finding the images that a checkpoint was trained on."""

from dataclasses import replace

from checkpoints.checkpoint import Checkpoint
from checkpoints.data import DataRequest, ImageData, load_data
from checkpoints.data.normalisations import parse_normalisation
from spectra.errors import InputError


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
    known = checkpoint.data
    if source is None and known is None:
        raise InputError(
            f"{checkpoint.name} does not say what it was trained on; give --data "
            "(digits, cifar10:FOLDER, cifar100:FOLDER or npz:TRAIN.npz,TEST.npz)"
        )
    if source is None:
        source = _source(dict(known or {}))
    if request is None:
        request = DataRequest(source)
        if known is not None and known.get("source") == source.partition(":")[0]:
            request = DataRequest(
                source,
                profile=known.get("profile"),
                imbalance_factor=known.get("imbalance_factor"),
                n_max=known.get("n_max"),
                selection_seed=int(known.get("selection_seed", 0)),
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
    if known is not None and known.get("digest") and data.digest() != known["digest"]:
        notes = (
            f"the training images of {data.name} are not those that {checkpoint.name} was "
            "trained on (digests differ)",
        )
    return replace(data, num_classes=outputs), notes


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
            normalisation=checkpoint.normalisation or data.normalisation,
        )
    if normalisation is None:
        return checkpoint
    channels = checkpoint.architecture.in_channels
    return replace(checkpoint, normalisation=parse_normalisation(normalisation, channels=channels))


def _source(known: dict[str, object]) -> str:
    kind = str(known["source"])
    if kind != "npz":
        return kind
    files = [f"{known[key]}.npz" for key in ("name", "test_name") if known.get(key)]
    return "npz:" + ",".join(files)
