"""The images that carry the curvature of a class: a sentence, and the first of a ranking."""

from cli.display.lines import tell
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


_ENDS = {LOWEST: "lowest", HIGHEST: "highest"}


def print_images(one: ImageCurvatures, show: int) -> None:
    """Print the first ``show`` images of each end, and the sentence."""
    for end in ENDS:
        print_table(images_table(one, end, show))
    tell("", one.sentence)


def images_table(one: ImageCurvatures, end: str, show: int) -> Table:
    """Return the ``show`` images that add most to the lowest or the highest eigenvalue."""
    name, ranked = _NAMES[end], one.ranked(end)[:show]
    residual = {LOWEST: one.residual_min, HIGHEST: one.residual_max}[end]
    rows = [
        [
            str(image.position),
            str(image.label),
            str(image.predicted),
            number(image.loss),
            number(image.curvature(end)),
            percent(one.share(image, end)).removesuffix(" %"),
        ]
        for image in ranked
    ]
    return Table(
        f"class {one.label}: {len(rows)} of {len(one.images)} images, largest shares of {name} "
        f"{with_residual(one.eigenvalue(end), residual)} first",
        ["image", "class", "taken for", "loss", "curvature", "share %"],
        rows,
        meanings={
            "image": "its place in the data",
            "curvature": f"vᵀHv of its own loss along v, the eigenvector of the {_ENDS[end]} "
            "eigenvalue",
            "share %": f"of {name}, what this image adds, as one of those of the class; below 0 it "
            "works against it",
        },
        unusual=_unusual(one, end, show),
    )


def _unusual(one: ImageCurvatures, end: str, show: int) -> list[str]:
    wrong = [i for i in one.ranked(end)[:show] if i.predicted != i.label]
    if not wrong:
        return []
    named = ", ".join(str(i.position) for i in wrong[:12])
    return [f"image {named}{' and more' * (len(wrong) > 12)}: the network gets it wrong."]
