"""The sheet of images shows the ranked shares, with pictures where there are any."""

import numpy as np
import pytest
from drawn_results import texts

from figures import plot_image_sheet
from spectra.results.directions.image_curvatures import ImageCurvature, ImageCurvatures


def curvatures(n: int) -> ImageCurvatures:
    """Return n images, the first of which carries the most."""
    parts = [2.0 ** -(i + 1) for i in range(n)]
    images = tuple(
        ImageCurvature(100 + i, 8, 1 if i == 0 else 8, 0.5, 1 / n, -n * p, 3 * n * p)
        for i, p in enumerate(parts)
    )
    return ImageCurvatures("8", 0.5, -sum(parts), 3 * sum(parts), 0.0, 0.0, images)


def pictures(fig) -> list[np.ndarray]:
    return [image.get_array() for ax in fig.axes for image in ax.images]


def test_the_first_images_of_both_ends_are_drawn_in_their_order():
    found = curvatures(8)
    pixels = {100 + i: np.full((8, 8, 1), i / 8) for i in range(8)}
    fig = plot_image_sheet(found, pixels, show=3)
    assert [float(p.flat[0]) for p in pictures(fig)] == [0, 1 / 8, 2 / 8] * 2
    assert texts(fig).count("#100  50 %\n8 taken for 1\nloss 0.5") == 2
    titles = [part.get_suptitle() for part in fig.subfigs]
    assert titles == [
        "class 8: images that carry λmin = −0.996",
        "class 8: images that carry λmax = 2.99",
    ]


@pytest.mark.parametrize("n", [1, 7])
def test_inputs_without_pixels_are_named_alone(n):
    fig = plot_image_sheet(curvatures(n), {})
    assert pictures(fig) == []
    assert len(texts(fig).split("#")) - 1 == 2 * n
