import os
from pathlib import Path

import numpy as np
import pytest

from checkpoints.data import (
    class_counts,
    groups_by_size,
    head_mid_tail,
    many_medium_few,
    select_long_tail,
)
from checkpoints.data.longtail import parse_class_list, parse_groups
from spectra.errors import InputError

CIFAR10 = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)


def shared(name: str):
    folder = os.environ.get("SPECTRA_DATA")
    if not folder or not (Path(folder) / name).exists():
        pytest.skip(f"set SPECTRA_DATA to the folder that holds {name}")
    return np.load(Path(folder) / name)


def replayed(labels: np.ndarray, counts: tuple[int, ...], seed: int) -> np.ndarray:
    """The published rule, written with numpy's global generator, whose state is put back."""
    state = np.random.get_state()
    try:
        np.random.seed(seed)
        kept = []
        for c, n in enumerate(counts):
            index = np.where(labels == c)[0]
            np.random.shuffle(index)
            kept.extend(index[:n].tolist())
    finally:
        np.random.set_state(state)
    return np.array(kept)


def scrambled_labels(n: int = 400, classes: int = 5) -> np.ndarray:
    return np.random.RandomState(7).permutation(np.arange(n) % classes)


# --- class counts -----------------------------------------------------------------------------


def test_cifar10_exponential_counts_are_the_published_ones():
    counts = class_counts("exp", num_classes=10, n_max=5000, imbalance_factor=0.01)
    assert counts == CIFAR10


def test_cifar100_exponential_counts_add_up_to_the_published_size():
    counts = class_counts("exp", num_classes=100, n_max=500, imbalance_factor=0.01)
    assert (counts[0], counts[-1], sum(counts)) == (500, 5, 10847)


def test_exponential_counts_are_truncated_not_rounded():
    # 100 · .3^(1/2) = 54.77
    assert class_counts("exp", num_classes=3, n_max=100, imbalance_factor=0.3) == (100, 54, 30)


def test_step_profile_cuts_the_second_half_of_the_classes():
    counts = class_counts("step", num_classes=10, n_max=5000, imbalance_factor=0.01)
    assert counts == (5000,) * 5 + (50,) * 5


def test_step_profile_of_an_odd_number_of_classes_gives_the_odd_one_to_the_tail():
    assert class_counts("step", num_classes=3, n_max=8, imbalance_factor=0.25) == (8, 2, 2)


def test_profile_none_keeps_every_class_at_n_max():
    assert class_counts("none", num_classes=3, n_max=7, imbalance_factor=0.01) == (7, 7, 7)


@pytest.mark.parametrize("profile", ["exp", "step", "none"])
def test_factor_one_is_balanced(profile):
    assert class_counts(profile, num_classes=4, n_max=9, imbalance_factor=1.0) == (9,) * 4


@pytest.mark.parametrize("factor", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_factor_outside_zero_to_one_is_refused(factor):
    with pytest.raises(InputError, match="imbalance factor must lie in"):
        class_counts("exp", num_classes=10, n_max=5000, imbalance_factor=factor)


def test_unknown_profile_is_refused():
    with pytest.raises(InputError, match="exp, step, none, got 'linear'"):
        class_counts("linear", num_classes=10, n_max=5000, imbalance_factor=0.01)


def test_a_single_class_is_refused():
    with pytest.raises(InputError, match="at least 2 classes are needed, got 1"):
        class_counts("exp", num_classes=1, n_max=10, imbalance_factor=0.5)


@pytest.mark.parametrize("profile", ["exp", "step"])
def test_a_profile_that_empties_a_class_is_refused(profile):
    with pytest.raises(InputError, match="without images"):
        class_counts(profile, num_classes=4, n_max=99, imbalance_factor=0.01)  # int(.99) = 0


# --- selection --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_selection_is_the_published_rule_bit_for_bit(seed):
    labels, counts = scrambled_labels(), (80, 41, 20, 9, 1)
    kept = select_long_tail(labels, counts, seed=seed)
    np.testing.assert_array_equal(kept, replayed(labels, counts, seed))


@pytest.mark.shared_data
def test_selection_on_the_official_labels_gives_the_positions_stored_with_the_images():
    labels = shared("cifar10-train-labels.npy")
    np.testing.assert_array_equal(
        select_long_tail(labels, CIFAR10, seed=0),
        shared("cifar10-lt-if100-train.npz")["source_index"],
    )


def test_selection_does_not_depend_on_numpys_global_generator():
    labels, counts = scrambled_labels(), (30, 20, 10, 5, 2)
    state = np.random.get_state()
    try:
        np.random.seed(1)
        first = select_long_tail(labels, counts)
        np.random.seed(2)
        second = select_long_tail(labels, counts)
    finally:
        np.random.set_state(state)
    np.testing.assert_array_equal(first, second)


def test_selection_leaves_numpys_global_generator_alone():
    before = np.random.get_state()[1].copy(), np.random.get_state()[2]
    select_long_tail(scrambled_labels(), (30, 20, 10, 5, 2))
    after = np.random.get_state()[1], np.random.get_state()[2]
    assert np.array_equal(before[0], after[0])
    assert before[1] == after[1]


def test_selection_keeps_the_asked_number_of_each_class():
    labels, counts = scrambled_labels(), (80, 41, 20, 9, 1)
    kept = select_long_tail(labels, counts)
    assert tuple(np.bincount(labels[kept])) == counts


def test_selection_takes_no_image_twice():
    kept = select_long_tail(scrambled_labels(), (80, 80, 80, 80, 80))
    np.testing.assert_array_equal(np.sort(kept), np.arange(400))


def test_selection_of_more_images_than_a_class_holds_is_refused():
    with pytest.raises(InputError, match="class 2 has 80 images where 81 were asked for"):
        select_long_tail(scrambled_labels(), (80, 80, 81, 80, 80))


# --- splits -----------------------------------------------------------------------------------


def test_ten_classes_split_three_four_three():
    assert head_mid_tail(CIFAR10) == {"head": (0, 1, 2), "mid": (3, 4, 5, 6), "tail": (7, 8, 9)}


def test_hundred_classes_split_36_35_29():
    groups = head_mid_tail(tuple(range(200, 100, -1)))
    assert groups == {
        "head": tuple(range(36)),
        "mid": tuple(range(36, 71)),
        "tail": tuple(range(71, 100)),
    }


def test_splits_go_by_size_where_the_classes_are_not_ordered():
    groups = head_mid_tail((1, 50, 2, 40, 3, 30, 4, 20, 5, 10))
    assert groups == {"head": (1, 3, 5), "mid": (6, 7, 8, 9), "tail": (0, 2, 4)}


def test_classes_of_equal_size_keep_their_order_in_the_split():
    assert head_mid_tail((7,) * 10)["tail"] == (7, 8, 9)


@pytest.mark.parametrize("num_classes", [2, 3, 4, 5, 7, 20, 100, 1000])
def test_every_class_is_in_exactly_one_group(num_classes):
    groups = head_mid_tail(tuple(range(num_classes, 0, -1)))
    assert sorted(sum(groups.values(), ())) == list(range(num_classes))


def test_two_classes_have_a_head_and_a_tail():
    assert head_mid_tail((3, 9)) == {"head": (1,), "mid": (), "tail": (0,)}


def test_groups_read_as_head_mid_tail():
    assert parse_groups("0-2/3-6/7-9", num_classes=10) == {
        "head": (0, 1, 2),
        "mid": (3, 4, 5, 6),
        "tail": (7, 8, 9),
    }


def test_mid_group_may_be_empty():
    assert parse_groups("0//1", num_classes=2) == {"head": (0,), "mid": (), "tail": (1,)}


@pytest.mark.parametrize("text", ["", "0-9", "0-4/5-9", "0/1/2/3"])
def test_groups_that_are_not_three_parts_are_refused(text):
    with pytest.raises(InputError, match="groups must read like"):
        parse_groups(text, num_classes=10)


@pytest.mark.parametrize("text", ["/3-6/7-9", "0-2/3-6/"], ids=["head", "tail"])
def test_an_empty_head_or_tail_is_refused(text):
    with pytest.raises(InputError):
        parse_groups(text, num_classes=10)


def test_a_class_in_two_groups_is_refused():
    with pytest.raises(InputError, match="stands in two groups"):
        parse_groups("0-3/3-6/7-9", num_classes=10)


def test_class_list_reads_labels_and_ranges_in_the_order_given():
    assert parse_class_list("9,2-4,0", num_classes=10) == (9, 2, 3, 4, 0)


def test_class_list_names_each_class_once():
    assert parse_class_list("1,0-2,1", num_classes=3) == (1, 0, 2)


@pytest.mark.parametrize("text", ["a", "1.5", "0,b", "-1", "0;1"])
def test_class_list_of_anything_but_numbers_is_refused(text):
    with pytest.raises(InputError, match="classes must read like"):
        parse_class_list(text, num_classes=10)


@pytest.mark.parametrize("text", ["10", "8-10", "0,99"])
def test_class_list_beyond_the_last_class_is_refused(text):
    with pytest.raises(InputError, match=r"classes are 0\.\.9"):
        parse_class_list(text, num_classes=10)


def test_class_list_with_a_falling_range_is_refused():
    with pytest.raises(InputError):
        parse_class_list("4-2", num_classes=10)


# --- many, medium and few ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_classes", "sizes"), [(1000, (390, 445, 165)), (8142, (842, 3701, 3599))]
)
def test_the_papers_two_data_sets_have_its_many_medium_and_few(num_classes, sizes):
    counts = [(c * 7919) % num_classes + 1 for c in range(num_classes)]  # all sizes, shuffled
    groups = groups_by_size(counts)
    assert {name: len(own) for name, own in groups.items()} == dict(
        zip(("many", "medium", "few"), sizes, strict=True)
    )
    smallest = {name: min(counts[c] for c in own) for name, own in groups.items()}
    assert smallest["many"] > max(counts[c] for c in groups["medium"])
    assert smallest["medium"] > max(counts[c] for c in groups["few"])


def test_other_numbers_of_classes_have_head_mid_and_tail():
    assert groups_by_size(CIFAR10) == head_mid_tail(CIFAR10)


def test_many_has_over_100_images_and_few_under_20():
    groups = many_medium_few((101, 100, 20, 19, 1280, 1))
    assert groups == {"many": (0, 4), "medium": (1, 2), "few": (3, 5)}
