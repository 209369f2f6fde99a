"""The order in which the code of Rangwani et al. 2022 numbers classes: from the largest down."""

from collections.abc import Sequence

# Of numpy's introsort: parts of so many values and fewer are sorted by insertion.
_SMALL = 15


def published_order(counts: Sequence[int]) -> list[int]:
    """Return the classes in the order of the outputs of the published code's networks.

    That code sorts classes by training images with ``np.argsort(-counts)``, which leaves open which
    of two classes of equal size comes first. Networks of 2022 have the order of the introsort that
    numpy had until 1.25, so that algorithm is repeated here (without its guard against quadratic
    time, which class counts do not meet); later versions sort by the instructions that the
    processor has, and order equal classes in another way.

    Args:
        counts: n_c, training images of each class, in the numbers of the list files.

    Returns:
        The class of each output.
    """
    keys = [-n for n in counts]
    order = list(range(len(keys)))
    waiting = [(0, len(order) - 1)]
    while waiting:
        low, high = waiting.pop()
        while high - low > _SMALL:
            pivot = _partition(keys, order, low, high)
            if pivot - low < high - pivot:
                waiting.append((pivot + 1, high))
                high = pivot - 1
            else:
                waiting.append((low, pivot - 1))
                low = pivot + 1
        _insert(keys, order, low, high)
    return order


def _partition(keys: Sequence[int], order: list[int], low: int, high: int) -> int:
    """Put what is smaller than the median of three to its left; return where it lies."""

    def key(place: int) -> int:
        return keys[order[place]]

    def swap(a: int, b: int) -> None:
        order[a], order[b] = order[b], order[a]

    middle = low + (high - low) // 2
    for a, b in ((low, middle), (middle, high), (low, middle)):
        if key(b) < key(a):
            swap(a, b)
    value = key(middle)
    left, right = low, high - 1
    swap(middle, right)
    while True:
        left += 1
        while key(left) < value:
            left += 1
        right -= 1
        while value < key(right):
            right -= 1
        if left >= right:
            break
        swap(left, right)
    swap(left, high - 1)
    return left


def _insert(keys: Sequence[int], order: list[int], low: int, high: int) -> None:
    for place in range(low + 1, high + 1):
        one, at = order[place], place
        while at > low and keys[one] < keys[order[at - 1]]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = one
