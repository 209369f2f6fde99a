"""Every reader of files, beside sound files that it reads."""

import functools
import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import valid_files as valid

from checkpoints import Checkpoint, Recipe, load_checkpoint, load_study
from checkpoints.analysis.kept_losses import KeptLoss, KeptLosses
from checkpoints.analysis.vectors import load_vectors
from checkpoints.analysis.warm import WarmStarts
from checkpoints.data.dataset import LabelledImages
from checkpoints.data.image_folders import read_folder as read_images
from checkpoints.data.npz_files import read_npz
from checkpoints.formats.contents import Found, find_weights
from checkpoints.formats.folders import library_named_in, normalisation_in, read_folder
from checkpoints.formats.native import read_plain
from checkpoints.formats.torch_files import read_torch
from checkpoints.recipes.families import load_recipe
from checkpoints.studies.study import Study
from checkpoints.training.resume import TrainingState, load_history, load_state
from spectra import (
    Analysis,
    Extremes,
    LabelledArrays,
    load_analysis,
    load_arrays,
    save_arrays,
    to_arrays,
)
from spectra.results.analysis import analysis_to_plain
from spectra.results.claims.best_steps_result import BestStepsResult, load_best_steps
from spectra.results.claims.class_outliers_result import ClassOutliersResult, load_class_outliers
from spectra.results.claims.negative_share_result import NegativeShareResult, load_negative_share
from spectra.results.directions.image_curvatures import ImagesResult, load_images
from spectra.results.directions.sam_result import SamResult, load_sam
from spectra.results.directions.theorem_result import TheoremResult, load_theorem
from spectra.results.protocols.recurrences_result import RecurrencesResult, load_recurrences
from spectra.results.spectrum_file import check_spectrum_file
from spectra.results.stored.by_column import to_columns
from spectra.results.study_result import StudyResult, load_study_result

_STUDIES = Path(__file__).parents[2] / "checkpoints" / "studies"
_RECIPE = b'name = "mine"\nbase = "ce-drw-sam"\nlr = 0.1\nepochs = 3\nrho_schedule = "0:.1,.5:2"\n'
_PAIR = {"nodes": [[-1.0, 0.5]], "weights": [[0.25, 0.75]], "size": 9}


def _as_it_is(content: bytes) -> bytes:
    return content


def _nothing(path: Path) -> None:
    pass


@dataclass(frozen=True)
class Reader:
    """A reader, and how it is tried.

    Attributes:
        name: of the reader.
        file: where what it reads lies, below a folder.
        read: what is called with that path.
        gives: what it returns.
        sound: contents that it reads.
        form: ``bytes``, ``json`` or ``toml``: how ``sound`` may be changed.
        wrap: makes the file of a content: puts it into an archive, say.
        beside: makes the files beside it.
    """

    name: str
    file: str
    read: Callable[[Path], Any]
    gives: type | tuple[type, ...]
    sound: Callable[[], list[bytes]]
    form: str = "bytes"
    wrap: Callable[[bytes], bytes] = _as_it_is
    beside: Callable[[Path], None] = _nothing


def _in_a_folder(make: Callable[[Path], bytes]) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [make(Path(folder))]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _weights(read: Callable[[Path], Any]) -> Callable[[Path], Found]:
    return lambda path: find_weights(path, read(path))


def _configuration(path: Path) -> list[Any]:
    return [normalisation_in(path.parent), library_named_in(path.parent)]


def _with_weights(path: Path) -> None:
    (path.parent / "model.safetensors").write_bytes(valid.plain_safetensors())


def _with_a_shard(path: Path) -> None:
    (path.parent / "one.safetensors").write_bytes(valid.plain_safetensors())


def _with_another_image(path: Path) -> None:
    other = path.parents[1] / "b" / "x.png"
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(valid.png())


def _kept(path: Path) -> dict[str, KeptLoss]:
    return KeptLosses(path.parent, _header(), "inputs").load([path.stem], {})


def _warm(path: Path) -> Extremes | None:
    whole = hashlib.sha256(_vectors()).hexdigest()
    return WarmStarts(path.parent, "a", "b", given={"8": whole}).load("8")


def _vectors() -> bytes:
    return valid.npy(valid.np.eye(8, dtype="f4")[:2])


@functools.cache
def _header() -> Analysis:
    return load_analysis(valid.DOCS / "study/ce-drw-0060/plain.json")


def _by_column() -> bytes:
    plain = analysis_to_plain(_header())
    columns = {"count": len(plain["records"]), "columns": to_columns(plain["records"])}
    return _json({**plain, "schema": 3, "records": columns})


def _arrays(folder: Path) -> bytes:
    save_arrays(folder / "a.npz", to_arrays([_header()]))
    return (folder / "a.npz").read_bytes()


def _unit(folder: Path) -> bytes:
    record = _header().records[0]
    KeptLosses(folder, _header(), "inputs").keep(KeptLoss(record))
    return (folder / f"{record.label}.json").read_bytes()


def _state(path: Path) -> TrainingState:
    load_history(path)
    return load_state(path, expected={})


_INDEX = {"weight_map": dict.fromkeys(valid.WEIGHTS, "one.safetensors")}
_PREPROCESSING = {"image_mean": [0.5], "image_std": [0.25], "rescale_factor": 0.25}
_TIMM = {"architecture": "resnet18", "num_classes": 3, "pretrained_cfg": {"mean": [0], "std": [1]}}

READERS = {
    reader.name: reader
    for reader in (
        # Checkpoints.
        Reader("checkpoint", "net.safetensors", load_checkpoint, Checkpoint,
               lambda: _in_a_folder(valid.native)),
        Reader("metadata", "net.safetensors", load_checkpoint, Checkpoint,
               lambda: [_json(valid.METADATA)], "json", valid.with_metadata),
        Reader("safetensors", "net.safetensors", _weights(read_plain), Found,
               lambda: [valid.plain_safetensors()]),
        Reader("torch-zip", "net.pth", _weights(read_torch), Found, lambda: [valid.torch_file()]),
        Reader("torch-pickle", "net.pth", _weights(read_torch), Found,
               lambda: [valid.pickle_of_torch()], wrap=valid.with_pickle),
        Reader("torch-legacy", "net.pth", _weights(read_torch), Found,
               lambda: [valid.torch_file(_use_new_zipfile_serialization=False)]),
        Reader("torch-tar", "net.pth", _weights(read_torch), Found, lambda: [valid.torch_tar()]),
        Reader("pickle", "net.pkl", _weights(read_torch), Found,
               lambda: [valid.plain_pickle(protocol) for protocol in (2, 4)]),
        Reader("configuration", "net/config.json", _configuration, list,
               lambda: [_json(_TIMM)], "json", beside=_with_weights),
        Reader("preprocessing", "net/preprocessor_config.json", _configuration, list,
               lambda: [_json(_PREPROCESSING)], "json", beside=_with_weights),
        Reader("shards", "net/model.safetensors.index.json", lambda p: read_folder(p.parent), dict,
               lambda: [_json(_INDEX)], "json", beside=_with_a_shard),
        # Data.
        Reader("npz", "images.npz", read_npz, tuple, lambda: [valid.image_npz()]),
        Reader("npy-in-npz", "images.npz", read_npz, tuple,
               lambda: [valid.npy(valid.images())], wrap=valid.with_images),
        Reader("image", "images/a/x.png", lambda p: read_images(str(p.parents[1]))[0],
               LabelledImages, lambda: [valid.png()], beside=_with_another_image),
        # What a run keeps.
        Reader("state", "run/resume.safetensors", _state, TrainingState,
               lambda: [valid.state_of_a_run()]),
        Reader("vectors", "vectors-8.safetensors",
               lambda p: load_vectors(p.parent, "8", valid.SLICES), valid.torch.Tensor,
               lambda: [valid.vectors()]),
        Reader("warm", "warm/a-8.npy", _warm, Extremes, lambda: [_vectors()]),
        Reader("unit", "units/8.json", _kept, dict,
               lambda: _in_a_folder(_unit), "json"),
        # Descriptions.
        Reader("study", "study.toml", load_study, Study,
               lambda: [path.read_bytes() for path in _STUDIES.glob("*.toml")], "toml"),
        Reader("recipe", "recipe.toml", load_recipe, Recipe, lambda: [_RECIPE], "toml"),
        # Results.
        Reader("analysis", "a.json", load_analysis, Analysis,
               lambda: valid.stored("study/ce-drw-0060/p*.json"), "json"),
        Reader("analysis-by-column", "a.json", load_analysis, Analysis,
               lambda: [_by_column()], "json"),
        Reader("arrays", "a.npz", load_arrays, LabelledArrays,
               lambda: _in_a_folder(_arrays)),
        Reader("results", "results.json", load_study_result, StudyResult,
               lambda: _in_a_folder(valid.study_result), "json"),
        Reader("theorem", "a.json", load_theorem, TheoremResult,
               lambda: valid.stored("study/theorem/theorem.json"), "json"),
        Reader("sam", "a.json", load_sam, SamResult,
               lambda: [(valid.CORPUS / "sam/sound.json").read_bytes()], "json"),
        Reader("images", "a.json", load_images, ImagesResult,
               lambda: [(valid.CORPUS / "images/sound.json").read_bytes()], "json"),
        Reader("recurrences", "a.json", load_recurrences, RecurrencesResult,
               lambda: valid.stored("study/recurrences/convex-8.json"), "json"),
        Reader("best-steps", "a.json", load_best_steps, BestStepsResult,
               lambda: valid.stored("study/claims/digits/*alain2019.json"), "json"),
        Reader("outliers", "a.json", load_class_outliers, ClassOutliersResult,
               lambda: valid.stored("study/claims/digits/*papyan2020.json"), "json"),
        Reader("negative-share", "a.json", load_negative_share, NegativeShareResult,
               lambda: valid.stored("study/claims/digits/*ghorbani2019.json"), "json"),
        Reader("spectrum-json", "s.json", check_spectrum_file, dict, lambda: [_json(_PAIR)],
               "json"),
        Reader("spectrum-npz", "s.npz", check_spectrum_file, dict,
               lambda: [valid.npz(nodes=[-1.0, 0.5], weights=[0.25, 0.75], size=9)]),
        Reader("spectrum-npy", "s.npy", lambda p: check_spectrum_file(p, 9), dict,
               lambda: [valid.npy(valid.np.array([[-1.0, 0.5], [0.25, 0.75]]))]),
        Reader("spectrum-csv", "s.csv", lambda p: check_spectrum_file(p, 9), dict,
               lambda: [b"nodes,weights\n-1.0,0.25\n0.5,0.75\n"]),
    )
}  # fmt: skip
