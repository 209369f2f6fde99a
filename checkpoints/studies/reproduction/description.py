"""A named study of the paper, at one of its sizes: read, and tied to a folder."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from checkpoints.choices import SIZES
from checkpoints.data import DataRequest, ImageData
from checkpoints.data.sources import DATA_VARIABLE, data_folder
from checkpoints.recipes.families import PHOTO_FAMILIES
from checkpoints.studies.claimed_folder import claim_folder
from checkpoints.studies.published_studies import FOLDER, study_names
from spectra.errors import InputError
from spectra.results.plain import from_plain, to_plain
from spectra.system.files.writing import WHEN_SET

# Numbers by quantity; of a list, the value and its standard deviation.
Published = Mapping[str, int | float | list[int | float]]


@dataclass(frozen=True, kw_only=True)
class SizeSettings:
    """What one size of a study trains and measures.

    Attributes:
        note: what one should know before comparing.
        recipes: names.
        values: of the recipe field that the study varies; empty where it varies none.
        seeds: of the trainings.
        arch: architecture.
        epochs: of each training.
        n_max: size of the largest class; None: all there are.
        images_per_class: that are analyzed; None: all.
        num_steps: of Lanczos; None: the solver's default.
        num_batches: mini-batches of a theorem's measurement; None: the request's default.
    """

    note: str | None = field(default=None, metadata=WHEN_SET)
    recipes: tuple[str, ...]
    values: tuple[float, ...] = field(default=(), metadata=WHEN_SET)
    seeds: tuple[int, ...]
    arch: str
    epochs: int
    n_max: int | None = field(default=None, metadata=WHEN_SET)
    images_per_class: int | None = field(default=None, metadata=WHEN_SET)
    num_steps: int | None = field(default=None, metadata=WHEN_SET)
    num_batches: int | None = field(default=None, metadata=WHEN_SET)


@dataclass(frozen=True)
class Reproduction:
    """One study at one size.

    Attributes:
        name: of the study.
        size: ``smoke``, ``cpu`` or ``full``.
        title: what it reproduces.
        kind: ``accuracy``, ``spectra`` or ``theorem``.
        data: ``cifar10``, ``cifar100``, ``imagenet-lt`` or ``inaturalist18``.
        published: rows of numbers by name.
        source: where those come from.
        settings: the size's own.
        classes: losses to analyze.
        images: protocols to analyze them under.
        vary: a recipe field that takes the size's ``values`` in turn; None: none does.
        every_epoch: analyze all kept checkpoints, not the last alone.
        density: whether densities are wanted, not extremes alone.
    """

    name: str
    size: str
    title: str
    kind: str
    data: str
    published: Mapping[str, Published]
    source: str
    settings: SizeSettings
    classes: str = "all"
    images: tuple[str, ...] = ("plain",)
    vary: str | None = None
    every_epoch: bool = False
    density: bool = False


def load_reproduction(name: str, size: str) -> Reproduction:
    """Read a study's description.

    Raises:
        InputError: there is no such study or size.
    """
    if name not in study_names():
        raise InputError(f"unknown study {name!r}; expected one of {', '.join(study_names())}")
    if size not in SIZES:
        raise InputError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    plain = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    published = dict(plain.pop("published"))
    settings = plain.pop(size)
    return from_plain(
        {
            **plain,
            "name": name,
            "size": size,
            "source": published.pop("source"),
            "published": published,
            "settings": settings,
        },
        Reproduction,
        origin=f"{name}.toml",
    )


def reproduction_data(study: Reproduction, source: str | None) -> DataRequest:
    """Return where the images come from.

    Without the paper's data a ``smoke`` run takes the digits. ImageNet-LT and iNaturalist 2018 are
    long-tailed as they are, and lie where ``source`` says.

    Raises:
        InputError: the data are not there and the size needs them.
    """
    n_max, photos = study.settings.n_max, study.data in PHOTO_FAMILIES
    if source is not None:
        taken_as_is = photos or (source.startswith("npz:") and n_max is None)
        return DataRequest(source, None if taken_as_is else "exp", None, n_max)
    if data_folder() is not None and not photos:
        return DataRequest(study.data, n_max=n_max)
    if study.size == "smoke":
        return DataRequest("digits", n_max=n_max)
    if photos:
        raise InputError(
            f"size {study.size} needs {study.data}: give --data {study.data}:FOLDER; smoke runs on "
            "digits without it"
        )
    raise InputError(
        f"size {study.size} needs {study.data}: give --data or set {DATA_VARIABLE} "
        f"('spectra data fetch {study.data}' downloads it); smoke runs on digits without it"
    )


def claim(study: Reproduction, data: ImageData, folder: Path) -> None:
    """Write what the folder is of, or check that it is of the same."""
    claim_folder(
        folder,
        {**to_plain(study), "images_of": data.description},
        other=f"{folder} holds another study, size or data; choose another -o",
    )
