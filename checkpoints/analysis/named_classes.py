"""The classes that ``--classes`` names, and those that it draws at random."""

from collections.abc import Mapping

import torch

from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData
from checkpoints.data.longtail import parse_class_list
from spectra import make_generator
from spectra.errors import InputError
from spectra.results.groups.by_size import in_words_of
from spectra.results.groups.many import are_many
from spectra.results.provenance import ClassGroup

Groups = Mapping[str, tuple[int, ...]]
# Of every group so many classes: ``sample:20``.
SAMPLE = "sample"


def chosen_losses(
    request: AnalysisRequest, checkpoint: Checkpoint, data: ImageData
) -> dict[str, tuple[int, ...]]:
    """Return the label of each loss that a request names, and its classes.

    Groups go by the class sizes that the checkpoint was trained on, else by those of ``data``.

    Raises:
        InputError: a word or label is unknown.
    """
    groups = request.groups_of(checkpoint.class_counts or data.class_counts)
    drawn = drawn_classes(request.classes, _with_images(groups, request, data), seed=_seed(request))
    return parse_selection(request.classes, groups, num_classes=data.num_classes, drawn=drawn)


def class_groups(
    request: AnalysisRequest, checkpoint: Checkpoint, data: ImageData
) -> tuple[ClassGroup, ...]:
    """Return the classes of each group, where some are drawn at random or many are analyzed.

    Of few classes nothing is returned: tables show them one by one.
    """
    chosen = chosen_losses(request, checkpoint, data)
    groups = request.groups_of(checkpoint.class_counts or data.class_counts)
    groups = _with_images(groups, request, data)
    drawn = drawn_classes(request.classes, groups, seed=_seed(request))
    if not drawn and not are_many(chosen):
        return ()
    return tuple(
        ClassGroup(name, classes, drawn.get(name, ()))
        for name, classes in groups.items()
        if classes
    )


def drawn_classes(text: str, groups: Groups, *, seed: int) -> dict[str, tuple[int, ...]]:
    """Return the classes that ``sample:20`` or ``tail:20`` in ``text`` draws from each group.

    They are drawn without replacement, every set of that size with the same probability. Of one
    seed, a larger number draws the same classes and more, so that what was found is found again;
    a number beyond the group's size draws all of it.

    Args:
        text: of ``--classes``.
        groups: to draw from, by name.
        seed: of the draw.

    Raises:
        InputError: a number is no integer from 1, or there is no such group.
    """
    asked: dict[str, int] = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        word, colon, number = part.partition(":")
        if not colon:
            continue
        name = in_words_of(groups, word)
        if not number.isdecimal() or not 1 <= len(number) < 10 or not int(number):
            raise InputError(
                f"{part!r} must say how many classes are drawn, such as {word}:20; got {number!r}"
            )
        if name != SAMPLE and name not in groups:
            raise InputError(
                f"there is no group {name!r} to draw classes from; expected {SAMPLE} (all groups), "
                f"{', '.join(groups)}"
            )
        for group in groups if name == SAMPLE else (name,):
            asked[group] = max(asked.get(group, 0), int(number))
    return {name: _drawn(name, groups[name], number, seed) for name, number in asked.items()}


def smaller_groups(
    request: AnalysisRequest, checkpoint: Checkpoint, data: ImageData
) -> tuple[str, ...]:
    """Return a line for each group that is to give more classes than it has, as ``tail:50`` may.

    ``sample:50`` asks for as many as there are, of groups of any size.
    """
    groups = request.groups_of(checkpoint.class_counts or data.class_counts)
    groups, said = _with_images(groups, request, data), []
    for part in filter(None, request.classes.replace(" ", "").split(",")):
        word, colon, number = part.partition(":")
        name = in_words_of(groups, word)
        if not colon or name == SAMPLE:
            continue
        there = len(drawn_classes(part, groups, seed=_seed(request))[name])
        if there < int(number):
            classes = "1 class" if there == 1 else f"{there} classes"
            said.append(f"{part}: group {name} has {classes} with images; all are analyzed")
    return tuple(said)


def _drawn(name: str, classes: tuple[int, ...], number: int, seed: int) -> tuple[int, ...]:
    generator = make_generator(seed, "sample of classes", name)
    order = torch.randperm(len(classes), generator=generator).tolist()
    return tuple(sorted(classes[k] for k in order[:number]))


def parse_selection(
    text: str,
    groups: Groups,
    *,
    num_classes: int,
    drawn: Groups | None = None,
) -> dict[str, tuple[int, ...]]:
    """Read ``overall``, ``head``, ``mid``, ``tail``, ``all``, labels and samples, by commas.

    Where the groups are called many, medium and few, ``tail`` means ``few``, and so on.

    Args:
        text: of ``--classes``.
        groups: the classes of each group, by name.
        num_classes: of the data.
        drawn: what :func:`drawn_classes` returns; None: samples are drawn by seed 0.

    Returns:
        Label of each loss and the classes whose images it runs over, in the order asked for.

    Raises:
        InputError: a word or label is unknown.
    """
    drawn = drawn_classes(text, groups, seed=0) if drawn is None else drawn
    chosen: dict[str, tuple[int, ...]] = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        word, colon, _ = part.partition(":")
        name = in_words_of(groups, word)
        if colon:
            for group in groups if name == SAMPLE else (name,):
                chosen |= {str(c): (c,) for c in drawn[group]}
        elif name == "all":
            chosen |= {str(c): (c,) for c in range(num_classes)}
        elif name == "overall":
            chosen["overall"] = tuple(range(num_classes))
        elif name in groups:
            if not groups[name]:
                raise InputError(f"group {name} has no classes; set --groups")
            chosen[name] = groups[name]
        elif name[:1].isdigit():
            chosen |= {str(c): (c,) for c in parse_class_list(name, num_classes=num_classes)}
        else:
            raise InputError(
                f"unknown class {name!r}; expected labels such as 0,9 or 0-3, all, overall, "
                f"{', '.join(groups)}, or classes drawn at random: {SAMPLE}:20"
            )
    if not chosen:
        raise InputError("no classes named; give --classes all, overall, head, tail or labels")
    return chosen


def _with_images(
    groups: Groups, request: AnalysisRequest, data: ImageData
) -> dict[str, tuple[int, ...]]:
    """Return the classes of each group that have images in the split that is analyzed."""
    counts = data.split(request.split).counts(data.num_classes)
    return {name: tuple(c for c in classes if counts[c]) for name, classes in groups.items()}


def _seed(request: AnalysisRequest) -> int:
    return request.solver.seed
