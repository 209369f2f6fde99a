"""What a rank sees of the others, by what they have left in the place where they meet."""

import pytest

from spectra.errors import InputError
from spectra.system.ranks import World, check_same
from spectra.system.ranks.meeting import FAILED, LEFT, TOLD, Meeting
from spectra.system.ranks.watching import BEAT, SILENCE_AT_THE_END, Heartbeats


class _Store(dict):
    """The part of torch's store that a meeting uses, in memory."""

    def check(self, keys):
        return all(key in self for key in keys)

    def set(self, key, value):
        self[key] = value.encode()

    def multi_get(self, keys):
        return [self[key] for key in keys]


class _Given(World):
    """Rank 0 of two, of which the other was given the digest of other images."""

    def gather(self, value):
        facts = value[1]
        return [value, ("other", {**facts, "images": "another"})]


@pytest.fixture
def store():
    return _Store()


def test_ranks_that_have_not_begun_are_absent(store):
    Heartbeats(Meeting(store, 1, 3))
    assert Meeting(store, 1, 3).absent() == [0, 2]
    assert Meeting(store, 1, 3).all_here(0.0) == [0, 2]


@pytest.mark.parametrize(
    ("state", "said"),
    [(FAILED, "failed, and has said why"), (TOLD, "was told to end"), (LEFT, ""), ("7", "")],
)
def test_a_rank_that_failed_elsewhere_is_named_after_a_while(store, state, said):
    own, other = (Heartbeats(Meeting(store, rank, 2)) for rank in range(2))
    other._meeting.say(state)
    lines = [own.failed_elsewhere() for _ in range(int(SILENCE_AT_THE_END / BEAT))]
    assert not any(lines[:-1])
    assert said in lines[-1]
    assert lines[-1].startswith("rank 1 (process") == bool(said)


def test_ranks_that_were_given_different_things_are_one_line():
    world = _Given(0, 2)
    with pytest.raises(InputError, match=r"rank 1 \(on other\) has other images than rank 0"):
        check_same(world, {"weights": "a", "images": [1, 2]})
    check_same(world, {})
    check_same(World(), {"weights": "a"})
