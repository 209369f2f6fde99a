"""Long-tailed class profiles and the selection rule of the long-tail literature."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from checkpoints.choices import PROFILES
from spectra.errors import InputError
from spectra.results.groups.by_size import HEAD_MID_TAIL, MANY_MEDIUM_FEW


def class_counts(
    profile: str, *, num_classes: int, n_max: int, imbalance_factor: float
) -> tuple[int, ...]:
    """Return the number of training images of each class.

    Args:
        profile: ``exp``: n_c = int(n_max · IF^(c/(C-1))); ``step``: the first half of the classes
            has n_max, the rest int(n_max · IF); ``none``: n_max everywhere.
        num_classes: C >= 2.
        n_max: size of the largest class.
        imbalance_factor: smallest over largest class, 0 < IF <= 1 (the paper's 0.01).

    Raises:
        InputError: an argument is out of range or a class would come out empty.

    Source: Cao et al., NeurIPS 2019 (LDAM), whose code Rangwani et al. 2022 use.
    """
    if profile not in PROFILES:
        raise InputError(f"imbalance profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    if not 0.0 < imbalance_factor <= 1.0:
        raise InputError(f"imbalance factor must lie in (0, 1], got {imbalance_factor}")
    if num_classes < 2:
        raise InputError(f"at least 2 classes are needed, got {num_classes}")
    if profile == "exp":
        counts = [
            int(n_max * imbalance_factor ** (c / (num_classes - 1.0))) for c in range(num_classes)
        ]
    elif profile == "step":
        head = num_classes // 2
        counts = [n_max] * head + [int(n_max * imbalance_factor)] * (num_classes - head)
    else:
        counts = [n_max] * num_classes
    if min(counts) < 1:
        raise InputError(
            f"profile {profile} with n_max {n_max} and factor {imbalance_factor} leaves a class "
            "without images; use a larger factor"
        )
    return tuple(counts)


def select_long_tail(
    labels: npt.NDArray[np.integer], counts: tuple[int, ...], *, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Return the positions of the images that stay, class by class in label order.

    The rule of the published code, reproduced bit for bit: one legacy generator seeded once; for
    each class in order its positions are shuffled and the first n_c kept.

    Args:
        labels: (N,) class of every image of the balanced set.
        counts: n_c for each class present in ``labels``.
        seed: the published subsets use 0 for every training seed.

    Raises:
        InputError: a class holds fewer images than asked for.
    """
    generator = np.random.RandomState(seed)
    kept = []
    for c, count in enumerate(counts):
        positions = np.flatnonzero(labels == c)
        if len(positions) < count:
            raise InputError(
                f"class {c} has {len(positions)} images where {count} were asked for; "
                "lower n_max or raise the imbalance factor"
            )
        generator.shuffle(positions)
        kept.append(positions[:count])
    return np.concatenate(kept).astype(np.int64)


# Classes with many and with a middling number of images in the code of Rangwani et al. 2022, which
# numbers classes from the largest to the smallest and cuts at positions: ImageNet-LT, iNaturalist.
_CUTS = {1000: (390, 445), 8142: (842, 3701)}
# Liu et al., CVPR 2019, of ImageNet-LT: many classes have more images than this, few have fewer.
MANY_ABOVE, FEW_BELOW = 100, 20


def groups_by_size(counts: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the classes of each group as the paper has them, from most images to fewest.

    Of 1,000 classes (ImageNet-LT) ``many``, ``medium`` and ``few`` are the 390 with the most
    training images, the next 445, and the last 165; of 8,142 (iNaturalist 2018) 842, 3,701 and
    3,599. Any other number has :func:`head_mid_tail`.

    Args:
        counts: n_c, training images of each class, at least 2 classes.

    Source: the code of Rangwani et al. 2022, which cuts the sorted classes at these positions.
    """
    cuts = _CUTS.get(len(counts))
    if cuts is None:
        return head_mid_tail(counts)
    return _cut(counts, MANY_MEDIUM_FEW, cuts[0], len(counts) - sum(cuts))


def many_medium_few(counts: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the classes of more than 100 training images, of 20 to 100, and of fewer than 20.

    On iNaturalist 2018 these are the paper's 842, 3,701 and 3,599 classes.

    Args:
        counts: n_c, training images of each class.

    Source: Liu et al., CVPR 2019.
    """
    members: tuple[list[int], ...] = ([], [], [])
    for c, n in enumerate(counts):
        members[0 if n > MANY_ABOVE else 2 if n < FEW_BELOW else 1].append(c)
    return {name: tuple(own) for name, own in zip(MANY_MEDIUM_FEW, members, strict=True)}


def head_mid_tail(counts: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the paper's split of the classes, taken from the largest class to the smallest.

    CIFAR-10: 3/4/3 classes. CIFAR-100: 36/35/29. Any other number of classes: the first and last
    30 % (ours, the proportion of the ten-class split). Classes of equal size keep their order.

    Args:
        counts: n_c, training images of each class, at least 2 classes.

    Source: Rangwani et al. 2022, poster; the CIFAR-100 split is the one that fits its tables.
    """
    num_classes = len(counts)
    head, tail = (36, 29) if num_classes == 100 else (max(1, round(0.3 * num_classes)),) * 2
    return _cut(counts, HEAD_MID_TAIL, head, tail)


def _cut(
    counts: Sequence[int], names: Sequence[str], first: int, last: int
) -> dict[str, tuple[int, ...]]:
    """Return the ``first`` largest classes, those between, and the ``last`` smallest."""
    order = sorted(range(len(counts)), key=lambda c: -counts[c])
    end = len(order) - last
    parts = (order[:first], order[first:end], order[end:])
    return {name: tuple(sorted(part)) for name, part in zip(names, parts, strict=True)}


def parse_groups(text: str, *, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Read a split such as ``0-2/3-6/7-9`` (head/mid/tail; ``mid`` may be empty).

    Raises:
        InputError: not three parts, or a class out of range or named twice.
    """
    parts = text.split("/")
    if len(parts) != 3:
        raise InputError(f"groups must read like 0-2/3-6/7-9 (head/mid/tail), got {text!r}")
    groups = {
        name: parse_class_list(part, num_classes=num_classes)
        for name, part in zip(HEAD_MID_TAIL, parts, strict=True)
    }
    if not groups["head"] or not groups["tail"]:
        raise InputError(f"head and tail need at least one class each, got {text!r}")
    named = [c for classes in groups.values() for c in classes]
    if len(named) != len(set(named)):
        raise InputError(f"a class stands in two groups of {text!r}")
    return groups


def parse_class_list(text: str, *, num_classes: int) -> tuple[int, ...]:
    """Read class labels such as ``0,2-4,9``.

    Raises:
        InputError: not numbers, or out of range.
    """
    classes: list[int] = []
    try:
        for part in filter(None, text.split(",")):
            text_first, _, text_last = part.partition("-")
            first, last = int(text_first), int(text_last or text_first)
            if first > last:
                raise InputError(f"a range of classes must rise, got {part!r}")
            if last >= num_classes:
                raise InputError(f"class {last} does not exist; classes are 0..{num_classes - 1}")
            classes.extend(range(first, last + 1))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"classes must read like 0,2-4,9, got {text!r}") from error
    return tuple(dict.fromkeys(classes))
