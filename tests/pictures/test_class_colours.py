"""A class has one colour in every figure, and its order from head to tail can be seen."""

from dataclasses import replace
from itertools import pairwise

import pytest
from drawn_results import analysis
from matplotlib.colors import to_hex, to_rgb

from figures import class_colours, density_grid, plot_trajectory
from figures.style.class_colours import class_styles

TEN = [str(c) for c in range(10)]


def linear(colour):
    return (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour))


def of(record, epoch=200):
    found = analysis(record, epoch=epoch)
    return replace(found, checkpoint=replace(found.checkpoint, class_counts=(90, 50, 20, 5)))


def test_a_class_has_one_colour_in_densities_and_trajectories(record):
    expected = class_colours(["2"], (90, 50, 20, 5))["2"]
    panel = density_grid({"": of(record("2"))}, ["2"]).axes[0]
    curve = plot_trajectory({"a": [of(record("2"), e) for e in (10, 20)]}, labels=["2"]).axes[0]
    assert {to_hex(ax.lines[0].get_color()) for ax in (panel, curve)} == {expected}


def test_what_is_drawn_beside_a_class_does_not_change_its_colour():
    assert class_colours(["8"])["8"] == class_colours(["tail", "8", "0", "my group"])["8"]
    assert class_styles(["8"])["8"] == class_styles(TEN)["8"]


def test_places_are_by_images_where_they_are_known():
    sizes = (5, 900, 50)
    by_size = class_colours(["1", "2", "0"], sizes)
    assert list(by_size.values()) == list(class_colours(["0", "1", "2"], (3, 2, 1)).values())


@pytest.mark.parametrize("total", [10, 100])
@pytest.mark.parametrize("dark", [False, True])
def test_lightness_rises_from_head_to_tail(total, dark):
    labels = [str(c) for c in range(total)]
    colours = class_colours(labels, range(total, 0, -1), dark=dark).values()
    # Relative luminance of sRGB (WCAG 2.2), which is lightness in print without colour.
    light = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in map(linear, colours)]
    assert all(a < b for a, b in pairwise(light))


def test_a_number_beyond_the_known_classes_still_has_a_colour():
    assert len(class_colours(["12", "9" * 18, "9" * 30, "²"], (5, 4))) == 4


def test_groups_have_one_look_under_both_of_their_names():
    names = class_styles(["head", "mid", "tail"]), class_styles(["many", "medium", "few"])
    assert list(names[0].values()) == list(names[1].values())


def test_groups_of_other_names_differ():
    found = class_colours(["rare", "common", "head"])
    assert len(set(found.values())) == 3
