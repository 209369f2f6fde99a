"""The images of a run that carry the curvature of some classes, kept in a study's folder."""

from dataclasses import replace
from pathlib import Path

from checkpoints.analysis.directions.image_curvatures import measure_images
from checkpoints.analysis.directions.thumbnails import thumbnails
from checkpoints.analysis.request import AnalysisRequest
from checkpoints.checkpoint import Checkpoint
from checkpoints.data import ImageData
from spectra.errors import InputError
from spectra.results.directions.image_curvatures import images_to_plain
from spectra.results.directions.pictures_file import save_pictures
from spectra.system.files.documents import read_json
from spectra.system.files.reading import file_digest, read_bytes
from spectra.system.files.sealed_json import is_whole, write_sealed
from spectra.system.progress import Progress

# Ours: two rows of six pictures.
SHOWN = 12


def keep_images(
    checkpoint: Checkpoint,
    data: ImageData,
    request: AnalysisRequest,
    *,
    folder: Path,
    on_progress: Progress | None = None,
) -> None:
    """Write ``images.json`` and ``pictures.npz`` into ``folder``, unless they are there and sound.

    Args:
        checkpoint: weights.
        data: images.
        request: which losses, of which images.
        folder: of these weights and this request.
        on_progress: called with (``class 8`` say, steps done, steps planned).
    """
    if not damaged_images(folder, weights=checkpoint.digest()):
        return
    solver = replace(request.solver, num_probes=0)
    result = measure_images(
        checkpoint, data, replace(request, solver=solver), on_progress=on_progress
    )
    # The pictures first: where the result is there, all is there.
    pictures = thumbnails(data, request.split, result.leading(SHOWN))
    plain = {**images_to_plain(result), "weights": checkpoint.digest()}
    if pictures:
        save_pictures(folder / "pictures.npz", pictures)
        plain["pictures"] = file_digest(folder / "pictures.npz")
    write_sealed(folder / "images.json", plain)


def damaged_images(folder: Path, *, weights: str | None = None) -> list[str]:
    """Return what is damaged or gone of what :func:`keep_images` wrote, as ``FILE is gone`` say.

    Args:
        folder: where it wrote.
        weights: digest of the weights that it is of; None: whatever it says.
    """
    path = folder / "images.json"
    pictures = folder / "pictures.npz"
    try:
        if not is_whole(read_bytes(path, None)):
            return [f"{path} is damaged"]
        said = read_json(path, what="shares of images")
        if weights not in (None, said.get("weights")):
            return [f"{path} is of other weights"]
        if "pictures" in said and file_digest(pictures) != said["pictures"]:
            return [f"{pictures} is damaged"]
    except InputError as error:
        return [str(error)]
    return []
