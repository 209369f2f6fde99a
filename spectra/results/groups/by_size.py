"""Names of the groups of classes by training images: head, mid, tail; many, medium, few."""

from collections.abc import Collection

HEAD_MID_TAIL = ("head", "mid", "tail")
# The words of the literature on data of a thousand classes and more, for the same idea.
MANY_MEDIUM_FEW = ("many", "medium", "few")


def names_of(groups: Collection[str]) -> tuple[str, str, str]:
    """Return what the groups of most, of a middling number and of fewest images are called.

    Args:
        groups: names, of all three or of some.

    Example:
        >>> from spectra.results.groups.by_size import names_of
        >>> names_of(["few", "many"])
        ('many', 'medium', 'few')
    """
    return MANY_MEDIUM_FEW if set(groups) & set(MANY_MEDIUM_FEW) else HEAD_MID_TAIL


def in_words_of(groups: Collection[str], label: str) -> str:
    """Return a label in the words of ``groups``: ``few`` for ``tail`` where they have no tail.

    Example:
        >>> from spectra.results.groups.by_size import in_words_of
        >>> in_words_of(["many", "medium", "few"], "tail"), in_words_of(["head", "tail"], "8")
        ('few', '8')
    """
    if label in groups:
        return label
    for words in (HEAD_MID_TAIL, MANY_MEDIUM_FEW):
        if label in words:
            return names_of(groups)[words.index(label)]
    return label
