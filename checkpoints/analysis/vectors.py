"""Eigenvectors of a loss in a file of their own: a checkpoint's result holds their values alone."""

import copy
import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from checkpoints.analysis.request import AnalysisRequest
from checkpoints.formats.safetensors_files import read_safetensors
from spectra import Extremes
from spectra.errors import InputError
from spectra.objective.parameter_slices import ParameterSlices, train_alone
from spectra.system.files.documents import parse_json
from spectra.system.files.names import file_name
from spectra.system.files.writing import write_atomically


def save_vectors(folder: Path, label: str, found: Extremes, slices: ParameterSlices) -> Path:
    """Write the eigenvectors of one loss as ``vectors-8.safetensors``, in float32.

    ``lowest``, shape (k, P), from λmin upwards, and ``highest`` from λmax downwards; the header key
    ``spectra`` holds JSON: ``names`` and ``shapes`` of the parameters in the order of a vector.

    Args:
        folder: where the file goes.
        label: of the loss.
        found: its eigenpairs.
        slices: the parameters that its vectors are of.

    Returns:
        The file.
    """

    def rows(pairs: tuple[Tensor, ...]) -> Tensor:
        return torch.stack(pairs).float().cpu()

    tensors = {
        "lowest": rows(tuple(pair.vector for pair in found.lowest)),
        "highest": rows(tuple(pair.vector for pair in found.highest)),
    }
    header = {"names": slices.names, "shapes": [list(shape) for shape in slices.shapes]}
    path = vectors_path(folder, label)
    write_atomically(path, save(tensors, metadata={"spectra": json.dumps(header)}))
    return path


def load_vectors(folder: Path, label: str, slices: ParameterSlices) -> Tensor:
    """Read the eigenvectors of λmin and λmax that :func:`save_vectors` wrote.

    Args:
        folder: where the file lies.
        label: of the loss.
        slices: the parameters that the vectors have to be of.

    Returns:
        Shape (2, P), float64, rows of length 1: λmin's, then λmax's.

    Raises:
        InputError: there is no such file, it is no file of vectors, or of other parameters.
    """
    path = vectors_path(folder, label)
    if not path.exists():
        raise InputError(
            f"{folder} holds no {path.name}; 'spectra analyze --save-vectors -o {folder}' with the "
            "same classes writes it"
        )
    found = read_safetensors(path)
    try:
        header = parse_json(found.metadata["spectra"], origin=str(path), what="vectors")
        ends = [found.tensors[name][0] for name in ("lowest", "highest")]
        theirs = ParameterSlices(
            tuple(header["names"]), tuple(torch.Size(shape) for shape in header["shapes"])
        )
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise InputError(f"{path} is no file of 'analyze --save-vectors': {error}") from error
    if theirs != slices:
        raise InputError(
            f"{path} is of other parameters than this loss: {theirs.size} in {len(theirs.names)} "
            f"tensors against {slices.size} in {len(slices.names)}; give the same network and "
            "--parameters"
        )
    if any(end.shape != (slices.size,) or not torch.isfinite(end).all() for end in ends):
        raise InputError(
            f"{path}: lowest and highest should hold finite vectors of {slices.size} numbers; "
            "write them again with 'spectra analyze --save-vectors'"
        )
    vectors = torch.stack(ends).double()
    return vectors / vectors.norm(dim=1, keepdim=True)


def vectors_path(folder: Path, label: str) -> Path:
    """Return where the eigenvectors of a loss lie."""
    return folder / f"vectors-{file_name(label)}.safetensors"


def analyzed_parameters(model: nn.Module, request: AnalysisRequest) -> ParameterSlices:
    """Return the parameters that a request's matrices are by; ``model`` is not changed."""
    own = copy.deepcopy(model)
    if request.parameters:
        train_alone(own, request.parameters)
    trained = [(name, p.shape) for name, p in own.named_parameters() if p.requires_grad]
    return ParameterSlices(tuple(n for n, _ in trained), tuple(shape for _, shape in trained))
