"""Whether all parts of a study fit its data and networks, found out before anything is trained."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from checkpoints.analysis.named_classes import parse_selection
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.data import ImageData
from checkpoints.data.normalisations import parse_normalisation
from checkpoints.models import Architecture, build_model
from checkpoints.studies.study import Study, one_spelling
from checkpoints.training.job import TrainingJob
from spectra.errors import InputError
from spectra.objective.parameter_slices import matching
from spectra.objective.placement import indexed


def check_study(study: Study, data: ImageData, jobs: Sequence[TrainingJob]) -> None:
    """Raise InputError where a part of a study does not fit.

    Args:
        study: what is to be done.
        data: on what.
        jobs: its trainings.
    """
    networks: dict[Architecture, nn.Module] = {}
    _check_names(study, jobs)
    for job in jobs:
        with _in(study, f"training {job.recipe.name}"):
            job.check()
            if job.architecture not in networks:
                with torch.random.fork_rng(devices=[]):  # networks draw weights when they are built
                    networks[job.architecture] = build_model(job.architecture)
    with _in(study, "analyze.splits"):
        for split in study.splits:
            data.split(split)
    for at, request in (
        ("analyze", study.request),
        ("trajectory", study.trajectory),
        ("images", study.images),
    ):
        if request is not None:
            with _in(study, at):
                _check_request(request, data, list(networks.values()))
    with _in(study, "figures.density_classes"):
        groups = study.request.groups_of(data.class_counts)
        parse_selection(",".join(study.density_classes), groups, num_classes=data.num_classes)


def _check_names(study: Study, jobs: Sequence[TrainingJob]) -> None:
    """Raise InputError where results or folders of two trainings would have one name."""
    with _in(study, "train.recipes"):
        names, folders = set(), set()
        for job in jobs:
            name = (one_spelling(job.recipe.name), job.seed)
            folder = one_spelling(str(job.folder))
            if name in names or folder in folders:
                raise InputError(
                    f"two recipes are named {job.recipe.name}, or differ in what some file "
                    "systems do not tell apart; give each a name of its own"
                )
            names.add(name)
            folders.add(folder)


def _check_request(
    request: AnalysisRequest, data: ImageData, networks: Sequence[nn.Module]
) -> None:
    groups = request.groups_of(data.class_counts)
    parse_selection(request.classes, groups, num_classes=data.num_classes)
    data.split(request.split)
    indexed(request.device)
    if request.normalisation not in (None, "data"):
        parse_normalisation(request.normalisation, channels=data.train.shape[0])
    if request.parameters:
        for network in networks:
            matching([name for name, _ in network.named_parameters()], request.parameters)


@contextlib.contextmanager
def _in(study: Study, part: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"study {study.name}: {part}: {error}") from error
