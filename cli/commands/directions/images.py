"""``spectra images``: which images of a class carry its negative curvature, and which its λmax."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.commands.directions.opened import open_for
from cli.display.lines import print_json, print_paths, say, there
from cli.display.progress import reporting
from cli.options import shared
from cli.options.analysis import AskedAnalysis, direction_flags
from cli.options.completion import checkpoint_names
from cli.options.flags import OUTPUT, SOLVER, Flag, command
from cli.options.values import Folder
from spectra.errors import InputError
from spectra.system.files.names import file_name

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from checkpoints import ImageData, LoadOptions
    from spectra.results.directions.image_curvatures import ImagesResult

# Ours: what a terminal shows beside the sentence, and two rows of a sheet.
SHOW = 12


@command(
    short_help="Which images carry a class's negative curvature.",
    examples="""
    # which of the digits of class 8
    spectra images bundled:digits/ce-drw --class 8
    # two classes of a run, 24 images of each end on a sheet
    spectra images runs/mine --class 8,9 --show 24
    """,
)
@click.argument("checkpoint", shell_complete=checkpoint_names)
@shared.source
@shared.loading
@direction_flags
@Flag(
    "--vectors",
    heading=SOLVER,
    type=Folder(),
    help="Folder of an earlier 'analyze --save-vectors', whose v_min and v_max are taken. "
    "[they are computed]",
)
@Flag(
    "--show",
    heading=OUTPUT,
    type=click.IntRange(min=1),
    default=SHOW,
    show_default=True,
    help="Images of each end in tables and on sheets; files hold all.",
)
@shared.output
@Flag("--no-figures", heading=OUTPUT, is_flag=True, help="Draw no sheets.")
@shared.figure_width
@shared.as_json
def images(
    checkpoint: str,
    source: str | None,
    loading: "LoadOptions",
    asked: AskedAnalysis,
    vectors: Path | None,
    show: int,
    output: Path | None,
    no_figures: bool,
    width: str,
    as_json: bool,
) -> None:
    """Rank the images of a class at CHECKPOINT by what they add to its λmin and its λmax.

    An image adds its weight times vᵀHv of its own loss; the shares of all add up to 1. Sheets of
    thumbnails are drawn where the data are images.
    """
    from checkpoints.analysis.directions.image_curvatures import measure_images
    from cli.display.found.images import print_images
    from spectra.results.directions.image_curvatures import (
        images_to_csv,
        images_to_plain,
        save_images,
    )
    from spectra.results.directions.pictures_file import save_pictures
    from spectra.system.files.writing import write_atomically

    request = asked.request(num_probes=0)
    loaded, data, folder = open_for(
        "images", checkpoint, loading, source, request.normalisation, output
    )
    if asked["classes"] is None:
        raise InputError("images is of one class or a few: name them, such as --class 8")
    with reporting(f"measuring {loaded.name}") as report:
        result = measure_images(loaded, data, request, vectors=vectors, on_progress=report.update)
    save_images(folder / "images.json", result)
    write_atomically(folder / "images.csv", images_to_csv(result.losses).encode())
    written = [folder / "images.json", folder / "images.csv"]
    pixels = _pictures(result, data, show)
    if pixels:
        save_pictures(folder / "pictures.npz", pixels)
        written.append(folder / "pictures.npz")
    if not no_figures:
        with reporting("drawing"):
            written += _sheets(result, pixels, folder, show, width)
    if as_json:
        print_json({**images_to_plain(result), "files": there(written)})
        return
    for one in result.losses:
        print_images(one, show)
    say("written:")
    print_paths(written)


def _pictures(
    result: "ImagesResult", data: "ImageData", show: int
) -> "dict[int, npt.NDArray[np.float32]]":
    """Return what is shown of the images; empty where the data are no images."""
    from checkpoints.analysis.directions.thumbnails import thumbnails

    return thumbnails(data, result.protocol.split, result.leading(show))


def _sheets(
    result: "ImagesResult",
    pixels: "dict[int, npt.NDArray[np.float32]]",
    folder: Path,
    show: int,
    width: str,
) -> list[Path]:
    """Draw a sheet for each loss; where the data are no images, positions and labels alone."""
    from figures import plot_image_sheet, save_figure

    written = []
    for one in result.losses:
        title = result.checkpoint.name
        figure = plot_image_sheet(one, pixels, show=show, title=title, width=width)
        written += save_figure(figure, folder / f"images-{file_name(one.label)}")
    return written
