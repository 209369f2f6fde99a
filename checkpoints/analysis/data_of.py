"""Finding the images that a checkpoint was trained on, and what they go through."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from checkpoints.analysis.inputs.known_data import known_data
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import DataRequest, ImageData, Normalisation, load_data
from checkpoints.data.dataset import AS_GIVEN, Labelled, LabelledInputs
from checkpoints.data.normalisations import from_images, of_floats, parse_normalisation
from checkpoints.data.photos.cached import lazily_decoded
from checkpoints.data.photos.photos import Photos
from checkpoints.data.sources import EXPECTED
from checkpoints.formats.foreign import NORMALISATION_UNTOLD
from spectra.errors import InputError
from spectra.objective.samples.forward import fit_network
from spectra.objective.samples.input_tree import Samples, frozen


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
    known = known_data(checkpoint)
    if source is None and known is None:
        raise InputError(
            f"{checkpoint.name} does not say what it was trained on; give --data ({EXPECTED})"
        )
    if source is None:
        source = known.found_at(checkpoint.name) if known else ""
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
    outputs = _outputs_of(checkpoint, data)
    _check_classes(checkpoint.name, outputs, data)
    _check_images(checkpoint, data)
    notes = data.notes
    if known is not None and known.digest and data.digest() != known.digest:
        notes += (
            f"the training images of {data.name} are not those that {checkpoint.name} was "
            "trained on (digests differ)",
        )
    return replace(data, num_classes=outputs), notes


def _outputs_of(checkpoint: Checkpoint, data: ImageData) -> int:
    """Return how many outputs the network has: of one of the user's own, measured on a sample.

    Its weights do not tell which layer makes them.

    Raises:
        InputError: the network does not take the data, or has another number than was stated.
    """
    stated = checkpoint.stated_classes
    if checkpoint.factory is None:
        return checkpoint.architecture.num_classes
    sample = data.train.subset(torch.arange(1))
    inputs = finished(sample, data.normalisation, torch.float32, "cpu")
    outputs = check_taken(checkpoint, checkpoint.model(), inputs, data)
    if outputs.ndim > 2:
        raise InputError(
            f"{checkpoint.name} returns outputs of shape {tuple(outputs.shape[1:])} for a sample; "
            "expected one number a class"
        )
    measured = outputs.shape[1] if outputs.ndim == 2 else 1
    if stated is not None and stated != measured:
        raise InputError(
            f"--num-classes says {stated}, and {checkpoint.name} returns {measured} outputs for a "
            "sample; leave it out"
        )
    return measured


def _check_classes(name: str, outputs: int, data: ImageData) -> None:
    """Raise InputError where a network with ``outputs`` cannot be one of these classes."""
    if outputs == 1:
        raise InputError(
            f"{name} has one output, for which cross-entropy is no loss; state its own in Python: "
            "spectra.analyze_classes(model, (images, labels), "
            'loss=torch.nn.BCEWithLogitsLoss(reduction="none"))'
        )
    lowest = int(data.train.labels.min())
    if data.test is not None and lowest == 0 and (begins := int(data.test.labels.min())) > 0:
        highest = int(data.test.labels.max())
        if int(data.train.labels.max()) < outputs <= highest and highest - begins < outputs:
            raise InputError(
                f"test labels of {data.name} run from {begins} to {highest}, its training labels "
                f"from 0, and {name} has {outputs} outputs; subtract {begins} from the test labels"
            )
    if data.num_classes > outputs and lowest > 0 and data.num_classes - lowest <= outputs:
        raise InputError(
            f"labels of {data.name} run from {lowest} to {data.num_classes - 1}, and {name} has "
            f"{outputs} outputs, counted from 0; subtract {lowest} from the labels"
        )
    fixed = data.description.get("source") in ("digits", "cifar10", "cifar100")
    if data.num_classes > outputs or (fixed and data.num_classes < outputs):
        raise InputError(
            f"data {data.name} has {data.num_classes} classes, {name} has {outputs} "
            "outputs; give the data it was trained on with --data"
        )


def _check_images(checkpoint: Checkpoint, data: ImageData) -> None:
    """Raise InputError where a network of ours takes images of other channels, or other inputs."""
    architecture, shape = checkpoint.architecture, data.train.shape
    if ":" in architecture.name:
        return
    if len(shape) != 3:
        raise InputError(
            f"{checkpoint.name} takes images (channels, height, width), and a sample of "
            f"{data.name} has shape {shape}; name its own network with --arch"
        )
    if shape[0] != architecture.in_channels:
        raise InputError(
            _other_channels(checkpoint.name, architecture.in_channels, data.name, shape[0])
        )


def check_taken(
    checkpoint: Checkpoint, model: nn.Module, inputs: Samples, data: ImageData
) -> Tensor:
    """Return a network's outputs of two samples; say in one line where it does not take them.

    Args:
        checkpoint: for its name.
        model: its network, in eval mode.
        inputs: finished samples, where the network is.
        data: that they are of.

    Raises:
        InputError: it takes images of other channels, or other inputs altogether.
    """
    try:
        return fit_network(model, inputs).outputs
    except InputError as error:
        stem = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
        shape = data.train.shape
        if stem is not None and len(shape) == 3 and stem.in_channels != shape[0]:
            raise InputError(
                _other_channels(checkpoint.name, stem.in_channels, data.name, shape[0])
            ) from error
        raise


def _other_channels(name: str, takes: int, data: str, there: int) -> str:
    kinds = {1: "grey, 1 channel", 3: "colour, 3 channels"}
    return (
        f"{name} takes images in {kinds.get(takes, f'{takes} channels')}, those of {data} are in "
        f"{kinds.get(there, f'{there} channels')}; give the images it was trained on with --data, "
        "or convert these"
    )


def notes_of(checkpoint: Checkpoint, data: ImageData, normalisation: str | None) -> tuple[str, ...]:
    """Return the notes of a checkpoint that matter with such data and a given normalisation."""
    if normalisation is None and not isinstance(data.train, LabelledInputs):
        taken = f"{NORMALISATION_UNTOLD}. Taken here: {data.normalisation.name}"
        return tuple(taken if text == NORMALISATION_UNTOLD else text for text in checkpoint.notes)
    return tuple(text for text in checkpoint.notes if text != NORMALISATION_UNTOLD)


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
    if isinstance(data.train, LabelledInputs):
        return AS_GIVEN if asked is None else of_floats(data.train, data.name, asked)
    if asked is None:
        return checkpoint.normalisation or data.normalisation
    scale = data.normalisation.scale
    if asked == "data":
        return from_images(data.train.images, scale)
    return parse_normalisation(asked, channels=data.train.shape[0], scale=scale)


def finished(
    part: Labelled, normalisation: Normalisation, dtype: torch.dtype, device: torch.device | str
) -> Samples:
    """Return what a network is given of a split: its images normalised, other inputs as they are.

    Images that lie in files are decoded whenever they are asked for.

    Args:
        part: images or other inputs.
        normalisation: see :func:`normalisation_for`.
        dtype: of real numbers; integers stay integers.
        device: where.
    """
    if isinstance(part, Photos):
        return lazily_decoded(part, lambda pixels: normalisation(pixels, dtype), device)
    inputs = part.inputs
    if isinstance(part, LabelledInputs) and not normalisation.mean:
        return frozen(inputs, torch.device(device), dtype)
    assert isinstance(inputs, Tensor)
    return normalisation(inputs.to(device), dtype)


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
            architecture=replace(checkpoint.architecture, num_classes=data.num_classes),
            normalisation=normalisation_for(checkpoint, data),
            notes=notes_of(checkpoint, data, normalisation),
        )
    if normalisation is None:
        return checkpoint
    channels = checkpoint.architecture.in_channels
    return replace(checkpoint, normalisation=parse_normalisation(normalisation, channels=channels))
