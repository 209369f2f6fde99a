"""The classes that ``--classes`` names."""

from collections.abc import Mapping

from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData
from checkpoints.data.longtail import parse_class_list
from spectra.errors import InputError
from spectra.results.groups.by_size import in_words_of


def chosen_losses(
    request: AnalysisRequest, checkpoint: Checkpoint, data: ImageData
) -> dict[str, tuple[int, ...]]:
    """Return the label of each loss that a request names, and its classes.

    Groups go by the class sizes that the checkpoint was trained on, else by those of ``data``.

    Raises:
        InputError: a word or label is unknown.
    """
    groups = request.groups_of(checkpoint.class_counts or data.class_counts)
    return parse_selection(request.classes, groups, num_classes=data.num_classes)


def parse_selection(
    text: str, groups: Mapping[str, tuple[int, ...]], *, num_classes: int
) -> dict[str, tuple[int, ...]]:
    """Read ``overall``, ``head``, ``mid``, ``tail``, ``all`` and labels, joined by commas.

    Where the groups are called many, medium and few, ``tail`` means ``few``, and so on.

    Returns:
        Label of each loss and the classes whose images it runs over, in the order asked for.

    Raises:
        InputError: a word or label is unknown.
    """
    chosen: dict[str, tuple[int, ...]] = {}
    for word in filter(None, text.replace(" ", "").split(",")):
        part = in_words_of(groups, word)
        if part == "all":
            chosen |= {str(c): (c,) for c in range(num_classes)}
        elif part == "overall":
            chosen["overall"] = tuple(range(num_classes))
        elif part in groups:
            if not groups[part]:
                raise InputError(f"group {part} has no classes; set --groups")
            chosen[part] = groups[part]
        elif part[0].isdigit():
            chosen |= {str(c): (c,) for c in parse_class_list(part, num_classes=num_classes)}
        else:
            raise InputError(
                f"unknown class {part!r}; expected labels such as 0,9 or 0-3, all, overall, "
                f"{', '.join(groups)}"
            )
    if not chosen:
        raise InputError("no classes named; give --classes all, overall, head, tail or labels")
    return chosen
