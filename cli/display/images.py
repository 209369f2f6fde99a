"""The images that carry the curvature of a class: a sentence, and the first of a ranking."""

from cli.display.lines import say
from cli.display.tables import Table, print_table
from cli.display.words import number, with_residual
from spectra.results.directions.image_curvatures import (
    ENDS,
    HIGHEST,
    LOWEST,
    ImageCurvatures,
    percent,
)

_NAMES = {LOWEST: "λmin", HIGHEST: "λmax"}


def print_images(one: ImageCurvatures, show: int) -> None:
    """Print the first ``show`` images of each end, and the sentence."""
    residuals = {LOWEST: one.residual_min, HIGHEST: one.residual_max}
    for end in ENDS:
        rows = [
            [
                str(image.position),
                str(image.label),
                str(image.predicted),
                number(image.loss),
                number(image.curvature(end)),
                percent(one.share(image, end)),
            ]
            for image in one.ranked(end)[:show]
        ]
        value = with_residual(one.eigenvalue(end), residuals[end])
        print_table(
            Table(
                f"class {one.label}: {len(rows)} of {len(one.images)} images, largest shares of "
                f"{_NAMES[end]} {value} first",
                ["image", "class", "taken for", "loss", "vᵀH_i v", f"of {_NAMES[end]}"],
                rows,
            )
        )
    say(one.sentence)
