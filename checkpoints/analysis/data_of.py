"""Finding the images that a checkpoint was trained on, and what they go through."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from checkpoints.checkpoint import Checkpoint
from checkpoints.data import DataRequest, ImageData, Normalisation, load_data
from checkpoints.data.dataset import AS_GIVEN, Labelled, LabelledInputs
from checkpoints.data.normalisations import STD_FLOOR, from_images, parse_normalisation
from checkpoints.data.sources import EXPECTED, RECORDED
from spectra.errors import InputError
from spectra.objective.samples.forward import fit_network
from spectra.objective.samples.input_tree import Samples, frozen
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
    outputs = checkpoint.architecture.num_classes
    _check_classes(checkpoint.name, outputs, data)
    _check_images(checkpoint, data)
    notes = data.notes
    if known is not None and known.digest and data.digest() != known.digest:
        notes += (
            f"the training images of {data.name} are not those that {checkpoint.name} was "
            "trained on (digests differ)",
        )
    return replace(data, num_classes=outputs), notes


def _check_classes(name: str, outputs: int, data: ImageData) -> None:
    """Raise InputError where a network with ``outputs`` cannot be one of these classes."""
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


def check_taken(checkpoint: Checkpoint, model: nn.Module, inputs: Samples, data: ImageData) -> None:
    """Run a network on a sample or two, and say in one line where it does not take them.

    Args:
        checkpoint: for its name.
        model: its network, in eval mode.
        inputs: finished samples, where the network is.
        data: that they are of.

    Raises:
        InputError: it takes images of other channels, or other inputs altogether.
    """
    try:
        fit_network(model, inputs)
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


def _of_floats(inputs: LabelledInputs, name: str, asked: str) -> Normalisation:
    """Return a normalisation of float images, whose pixels must go from 0 to 1.

    Raises:
        InputError: they are no images, or do not.
    """
    images = inputs.inputs
    if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point():
        raise InputError(
            f"--normalisation {asked} is for images, and the inputs of {name} are taken as they "
            "are; leave it out"
        )
    lowest, highest = float(images.min()), float(images.max())
    if lowest < 0 or highest > 1:
        raise InputError(
            f"--normalisation {asked} takes uint8 images, or floats from 0 to 1; those of {name} "
            f"go from {lowest:.3g} to {highest:.3g}: leave it out if they are normalised already"
        )
    if asked == "data":
        mean, std = images.double().mean((0, 2, 3)), images.double().std((0, 2, 3), correction=0)
        stds = tuple(max(one, STD_FLOOR) for one in std.tolist())
        return Normalisation("data", tuple(mean.tolist()), stds, 1.0)
    return replace(parse_normalisation(asked, channels=images.shape[1], scale=1.0), scale=1.0)


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
        return AS_GIVEN if asked is None else _of_floats(data.train, data.name, asked)
    if asked is None:
        return checkpoint.normalisation or data.normalisation
    images, scale = data.train.images, data.normalisation.scale
    if asked == "data":
        return from_images(images, scale)
    return parse_normalisation(asked, channels=images.shape[1], scale=scale)


def finished(
    part: Labelled, normalisation: Normalisation, dtype: torch.dtype, device: torch.device | str
) -> Samples:
    """Return what a network is given of a split: its images normalised, other inputs as they are.

    Args:
        part: images or other inputs.
        normalisation: see :func:`normalisation_for`.
        dtype: of real numbers; integers stay integers.
        device: where.
    """
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

    def found_at(self, checkpoint: str) -> str:
        """Return the source as a request names it; of files, without their folder.

        Raises:
            InputError: a file or code that is not looked for because a checkpoint names it.
        """
        if self.source not in RECORDED:
            hint = f"FOLDER/{self.name}" if self.source == "folder" else f"{self.name}"
            raise InputError(
                f"{checkpoint} says that it was trained on {self.source} {self.name}, and neither "
                "folders nor code are taken because a file names them; give it yourself, such as "
                f"--data {'folder:' if self.source == 'folder' else ''}{hint}"
            )
        if self.source != "npz":
            return self.source
        files = [f"{name}.npz" for name in (self.name, self.test_name) if name]
        return "npz:" + ",".join(files)


def _known(checkpoint: Checkpoint) -> _KnownData | None:
    if checkpoint.data is None:
        return None
    return from_plain(checkpoint.data, _KnownData, origin=checkpoint.name, at="data")
