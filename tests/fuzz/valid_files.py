"""Small sound files of every kind that the project reads."""

import functools
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from checkpoints import Architecture, Checkpoint, build_model, get_recipe
from checkpoints.data import Normalisation
from checkpoints.formats.native import RESUME_KEY, save_native
from spectra import load_analysis
from spectra.objective.parameter_slices import ParameterSlices
from spectra.results.study_result import StudyResult, save_study_result

DOCS = Path(__file__).parents[2] / "docs"
CORPUS = Path(__file__).with_name("corpus")
SLICES = ParameterSlices(("a.weight", "a.bias"), (torch.Size((2, 3)), torch.Size((2,))))
_DRAWN = torch.Generator().manual_seed(0)
WEIGHTS = {
    "conv.weight": torch.randn(2, 1, 3, 3, generator=_DRAWN),
    "norm.running_var": torch.ones(2),
    "head.weight": torch.randn(3, 2, generator=_DRAWN),
    "head.bias": torch.zeros(3),
}
METADATA: dict[str, Any] = {
    "schema": 1,
    "name": "digits/ce",
    "architecture": Architecture("digits-resnet", 3, 1, 4).to_dict(),
    "normalisation": Normalisation("custom", (0.5,), (0.25,)).to_dict(),
    "epoch": 3,
    "recipe": get_recipe("ce-drw").to_dict(),
    "class_counts": [9, 5, 3],
    "data": {"source": "digits", "n_max": 9, "digest": "ab"},
    "metrics": {"train_loss": 0.5, "test": {"accuracy": [0.5, None, 1.0]}},
    "seed": 1,
    "versions": {"torch": "2.0"},
    "notes": ["by hand"],
}


@functools.cache
def native_weights() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(Architecture("digits-resnet", 3, 1, 4)).state_dict()


def with_metadata(content: bytes) -> bytes:
    """Put what should be JSON into the header of a checkpoint of ours."""
    text = content.decode("utf-8", errors="replace")
    return safetensors.torch.save(native_weights(), {"spectra": text})


def native(folder: Path) -> bytes:
    architecture = Architecture("digits-resnet", 3, 1, 4)
    path = folder / "net.safetensors"
    save_native(path, Checkpoint("bare", native_weights(), architecture))
    return path.read_bytes()


def plain_safetensors() -> bytes:
    return safetensors.torch.save(WEIGHTS)


def torch_file(**options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save({"state_dict": WEIGHTS, "epoch": 3}, buffer, **options)
    return buffer.getvalue()


def pickle_of_torch() -> bytes:
    with zipfile.ZipFile(io.BytesIO(torch_file())) as archive:
        return archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))


def with_pickle(content: bytes) -> bytes:
    """Put a pickle into a file of torch's."""
    return _replaced(torch_file(), "data.pkl", content, zipfile.ZIP_STORED)


def plain_pickle(protocol: int) -> bytes:
    return pickle.dumps({"state_dict": {"a.weight": np.ones((2, 2))}}, protocol=protocol)


def torch_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            body = pickle.dumps(0, protocol=2)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def images() -> np.ndarray:
    return np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4)


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def image_npz() -> bytes:
    return npz(images=images(), labels=np.arange(6) % 3)


def with_images(content: bytes) -> bytes:
    """Put what should be an npy file into an npz file, as its images."""
    return _replaced(image_npz(), "images.npy", content, zipfile.ZIP_DEFLATED)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def state_of_a_run() -> bytes:
    header = {"epoch": 1, "history": [], "identity": {"recipe": METADATA["recipe"]}, "computed": []}
    return safetensors.torch.save({"model.a": torch.ones(2)}, {RESUME_KEY: json.dumps(header)})


def vectors() -> bytes:
    header = {"names": SLICES.names, "shapes": [list(shape) for shape in SLICES.shapes]}
    ends = {"lowest": torch.eye(8)[:1], "highest": torch.eye(8)[1:2]}
    return safetensors.torch.save(ends, {"spectra": json.dumps(header)})


def stored(pattern: str, most: int = 2) -> list[bytes]:
    """Return the first results below docs/ that match a pattern."""
    return [path.read_bytes() for path in sorted(DOCS.glob(pattern))[:most]]


def study_result(folder: Path) -> bytes:
    analysis = load_analysis(DOCS / "study/ce-drw-0060/plain.json")
    save_study_result(
        folder / "results.json", StudyResult("s", (analysis,), (analysis,), {"torch": "2"})
    )
    return (folder / "results.json").read_bytes()


def _replaced(archive: bytes, member: str, content: bytes, kind: int) -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as old,
        zipfile.ZipFile(buffer, "w", kind) as new,
    ):
        for name in old.namelist():
            new.writestr(name, content if name.endswith(member) else old.read(name))
    return buffer.getvalue()
