"""Strangers' checkpoints: ``.pth .pt .th .pth.tar .ckpt .bin .safetensors``, and folders."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from checkpoints.checkpoint import Checkpoint
from checkpoints.choices import ARCHITECTURES
from checkpoints.data.dataset import Normalisation
from checkpoints.formats.contents import Found, Place, find_weights
from checkpoints.formats.fitting import Fitted, fit_to_network, is_beside
from checkpoints.formats.folders import library_named_in, normalisation_in, read_folder
from checkpoints.formats.native import read_plain
from checkpoints.formats.photo_run_names import read_photo_names
from checkpoints.formats.recognise import (
    HOLDERS,
    WRAPPERS,
    UnknownArchitectureError,
    infer_architecture,
    likely_classes,
    number_of_classes,
    rename_keys,
    strip_prefixes,
)
from checkpoints.formats.run_names import read_names
from checkpoints.formats.torch_files import read_torch, refuse_what_is_no_checkpoint
from checkpoints.models import Architecture, build_model
from checkpoints.models.defined import networks_defined_in
from checkpoints.models.factories import Factory
from checkpoints.models.registry import factory_named
from spectra.errors import InputError

# Ours: a network is built for so many numbers of classes at most.
_MOST_TRIED = 4
NORMALISATION_UNTOLD = (
    "the file does not tell how images were normalised: the data's default is used unless "
    "--normalisation says otherwise (cifar, imagenet, none or m1,m2,m3/s1,s2,s3)"
)
"""A note, of no use where a normalisation is given or the data are no pixels."""
SUFFIXES = (".pth.tar", ".pth", ".pt", ".th", ".tar", ".ckpt", ".bin", ".safetensors")


@dataclass(frozen=True)
class _Network:
    """Which network the weights are of."""

    architecture: Architecture
    state: dict[str, Tensor]
    notes: tuple[str, ...]
    factory: Factory | None = None


def load_foreign(
    path: Path,
    *,
    arch: str | None = None,
    num_classes: int | None = None,
    head: str | None = None,
    shortcut: str | None = None,
    normalisation: Normalisation | None = None,
    in_channels: int | None = None,
    image_size: int | None = None,
) -> Checkpoint:
    """Read weights that another code base wrote, and infer what they are weights of.

    Understood are a bare state dict, and one under any key or keys inside keys, the usual ones
    first (``state_dict``, ``model``, ``net`` ...), averages (``model_ema``, ...) where there is
    nothing else; in safetensors, torch's zip format or the older one; and a folder as
    ``save_pretrained`` writes it, in one file or in shards. What a factory builds tells which keys
    are its own: whatever stands before all of them is taken off. Nothing in the file is executed.
    Every option that is not None replaces what the file tells.

    Args:
        path: the file or folder; its name and its folder's may tell the recipe.
        arch: one of ``ARCHITECTURES``, or what :func:`checkpoints.models.registry.factory_named`
            takes; a module is looked for in the file's folder, too.
        num_classes: outputs.
        head: ``linear`` or ``cosine``.
        shortcut: ``A`` or ``B``.
        normalisation: what the images went through in training.
        in_channels: channels of the images.
        image_size: height = width of the images in pixels.

    Raises:
        InputError: the file is damaged, holds more than tensors and plain values, or its
            architecture cannot be inferred.
    """
    options: dict[str, Any] = {
        "num_classes": num_classes,
        "head": head,
        "shortcut": shortcut,
        "in_channels": in_channels,
        "image_size": image_size,
    }
    _check_sizes(options)
    found = _read(path)
    if arch is None:
        arch = library_named_in(path)
    try:
        if arch is not None and ":" not in arch and arch not in ARCHITECTURES:
            build_model(Architecture(arch, 1))  # says what is wrong with the name
        if arch is not None and ":" in arch:
            network = _of_factory(found.places, arch, path, options)
        else:
            network = _of_known_architecture(found.places, arch, options)
    except UnknownArchitectureError as error:
        raise InputError(f"{path}: {error}; {_what_to_type(path)}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    architecture = network.architecture
    called = (path.absolute().parent.name, path.name)
    weights: dict[str, Any] = {"head": architecture.head, "num_classes": architecture.num_classes}
    names = read_photo_names(*called, **weights) or read_names(*called, **weights)
    notes = [*network.notes, *found.notes, *names.notes]
    normalisation = normalisation or names.normalisation or normalisation_in(path)
    if normalisation is None:
        notes.append(NORMALISATION_UNTOLD)
    stem = next((path.name.removesuffix(s) for s in SUFFIXES if path.name.endswith(s)), path.name)
    return Checkpoint(
        name=f"{names.label}_{stem}" if names.label else stem,
        state=network.state,
        architecture=architecture,
        factory=network.factory,
        normalisation=normalisation,
        epoch=found.epoch,
        recipe=names.recipe,
        class_counts=names.class_counts,
        metrics=found.metrics,
        seed=names.seed,
        notes=tuple(notes),
        stated_classes=num_classes,
    )


def _what_to_type(path: Path) -> str:
    """Return the command that names the network, with a class that lies there if there is one."""
    there = networks_defined_in((Path.cwd(), path.absolute().parent))
    others = f" (or {', '.join(there[1:4])}, which are there, too)" if there[1:] else ""
    meant = "" if there else " (the class Net in your own file net.py)"
    return (
        f"name it: spectra analyze {shlex.quote(str(path))} --arch "
        f"{shlex.quote(there[0]) if there else 'net.py:Net'}{meant}"
        f"{others}; or --arch timm:NAME, --arch hf:FOLDER for one of those libraries"
    )


def _read(path: Path) -> Found:
    if path.is_dir():
        return Found((Place((), read_folder(path)),))
    refuse_what_is_no_checkpoint(path)
    if path.suffix == ".safetensors":
        return find_weights(path, read_plain(path))
    return find_weights(path, read_torch(path))


def _of_factory(
    places: Sequence[Place], arch: str, path: Path, options: dict[str, Any]
) -> _Network:
    """Build what the user named, and find its weights.

    The number of classes is a guess where nobody says it: data, once at hand, measure it.
    """
    folder = (path if path.is_dir() else path.absolute().parent).resolve()
    state = places[0].state
    first = next((value for value in state.values() if value.ndim == 4), None)
    channels = options["in_channels"] or (3 if first is None else first.shape[1])
    factory = factory_named(arch, (folder,), channels)
    build = factory.call
    model, fitted, asked = _filled(factory, places, path, options["num_classes"])
    factory = replace(factory, call=lambda _: build(asked))  # as the weights fit
    told = getattr(model, "num_classes", None)
    classes = asked or (told if isinstance(told, int) else None) or number_of_classes(fitted.state)
    classes = classes or next(iter(likely_classes(fitted.state)), None)
    if not classes:
        raise InputError(
            f"cannot tell the number of classes of {factory.name} from its weights; give it with "
            "--num-classes"
        )
    architecture = Architecture(
        factory.name,
        classes,
        channels,
        options["image_size"] or 32,
        options["head"] or "linear",
        options["shortcut"] or "A",
    )
    return _Network(architecture, fitted.state, (*fitted.place.notes, *fitted.notes), factory)


def _filled(
    factory: Factory, places: Sequence[Place], path: Path, num_classes: int | None
) -> tuple[nn.Module, Fitted, int | None]:
    """Return the network that the weights fit, its weights, and the classes it was built for.

    Where nobody says how many classes there are, those are tried that some layer has as outputs.
    """
    tried: list[int | None] = [num_classes or factory.num_classes]
    if tried == [None] and factory.takes_classes:
        tried = [*likely_classes(places[0].state)[:_MOST_TRIED]]
        tried += [] if factory.asks_classes and tried else [None]
    complaint: InputError | None = None
    for classes in tried:
        if classes is None and factory.asks_classes:
            break
        try:
            with torch.random.fork_rng(devices=[]):  # its initialisation draws numbers
                model = factory.build(classes)
            return model, _fitted(factory, places, path, model), classes
        except InputError as error:
            complaint = complaint or error
    raise complaint or InputError(
        f"cannot tell the number of classes of {factory.name} from its weights; give it with "
        "--num-classes"
    )


def _fitted(factory: Factory, places: Sequence[Place], path: Path, model: nn.Module) -> Fitted:
    try:
        return fit_to_network(places, model, factory.name)
    except InputError:
        if factory.renamed is None or not path.is_dir():
            raise
        renamed = find_weights(path, dict(factory.renamed(path)))
        return fit_to_network(renamed.places, model, factory.name)


def _of_known_architecture(
    places: Sequence[Place], arch: str | None, options: dict[str, Any]
) -> _Network:
    """Infer which of our architectures the weights are of."""
    complaint: InputError | None = None
    for place in places:
        own = {key: value for key, value in place.state.items() if not is_beside(key)}
        beside = [key for key in place.state if key not in own]
        try:
            state = rename_keys(strip_prefixes(own, (*WRAPPERS, *HOLDERS)))
            architecture = infer_architecture(state, arch=arch, as_spelled=own, **options)
        except InputError as error:
            complaint = complaint or error
            continue
        notes = place.notes
        if beside:
            notes += (f"left aside what {architecture.name} does not have: {beside[0]}",)
        return _Network(architecture, state, notes)
    raise complaint or InputError("the file holds no weights")


def _check_sizes(options: dict[str, Any]) -> None:
    """Raise InputError where an option is no size, before anything is read or built by it."""
    names = ("num_classes", "in_channels", "image_size")
    classes, channels, size = (1 if options[k] is None else options[k] for k in names)
    Architecture("given", classes, channels, size)
