"""Stored densities, checked: our result files, and nodes and weights as others keep them."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spectra.errors import InputError, check_count
from spectra.findings.spectrum_check import SpectrumCheck, check_spectrum
from spectra.results.analysis import FORMAT as ANALYSIS
from spectra.results.analysis import Analysis, load_analysis
from spectra.results.study_result import FORMAT as STUDY
from spectra.results.study_result import load_study_result
from spectra.system.files.arrays import npy_array, npz_arrays, npz_names
from spectra.system.files.columns import read_columns
from spectra.system.files.documents import read_json

# What nodes and weights are called: by us, by others, by who keeps what PyHessian returns.
_NAMES = (
    ("nodes", "weights"), ("eigenvalues", "weights"), ("density_eigen", "density_weight"),
    ("eigen_list", "weight_list"), ("ritz_values", "weights"),
)  # fmt: skip
_SIZES = ("size", "P", "num_parameters", "parameter_count")
_READ = ".json, .npz, .npy, .csv, .txt"


def check_spectrum_file(path: str | Path, size: int | None = None) -> dict[str, SpectrumCheck]:
    """Check the ends of every density in a file; nothing in it is executed or unpickled.

    Args:
        path: a result of ``spectra analyze`` or of a study; or nodes and weights: JSON (an object
            with ``nodes`` and ``weights``, or ``density_eigen`` and ``density_weight``, and
            ``size`` if it is known; or a list of the two), ``.npz`` with these names, ``.npy`` of
            shape (2, m) or (m, 2), ``.csv`` or ``.txt`` of two columns
            (:func:`spectra.system.files.columns.read_columns`). Lists of lists are runs.
        size: P, the number of parameters, where the file does not say it.

    Returns:
        What was found, by the name of the loss; of a stranger's file by the file's name.

    Raises:
        InputError: the file cannot be read, says no P and ``size`` is None, says another P, holds
            no density, or what it holds is none.

    Example:
        >>> from spectra.results.spectrum_file import check_spectrum_file
        >>> _ = Path("theirs.json").write_text("[[[-59.0, 0.1, 60.0]], [[1e-30, 0.999, 0.001]]]")
        >>> check_spectrum_file("theirs.json", size=269722)["theirs.json"].warning
        'the lower end carries no mass: it belongs to no eigenvalue'
    """
    path = Path(path)
    if size is not None:
        check_count("the number of parameters", size)
    if path.is_dir():
        held = ", ".join(sorted(p.name for p in path.glob("*.json"))[:5]) or "no .json file"
        raise InputError(f"{path} is a folder; name a file in it ({held})")
    if path.suffix.lower() != ".json":
        return {path.name: _of_pair(_read_arrays(path), path, size)}
    plain = read_json(path, what="nodes and weights")
    if _is_table_of_protocols(plain):
        raise InputError(
            f"{path} is a table without nodes and weights; name the result of one protocol beside "
            "it, such as plain-pyhessian.json"
        )
    format_name = plain.get("format") if isinstance(plain, Mapping) else None
    if format_name == ANALYSIS:
        return _of_analyses({"": load_analysis(path)}, path, size)
    if format_name == STUDY:
        study = load_study_result(path)
        every = enumerate([*study.analyses, *study.trajectories], 1)
        return _of_analyses({f"{k}, {a.checkpoint.title}: ": a for k, a in every}, path, size)
    return {path.name: _of_pair(plain, path, size)}


def _is_table_of_protocols(plain: Any) -> bool:
    rows = plain if isinstance(plain, list) else []
    return bool(rows) and all(isinstance(row, Mapping) and "protocol" in row for row in rows)


def _of_analyses(
    found: Mapping[str, Analysis], path: Path, size: int | None
) -> dict[str, SpectrumCheck]:
    spectra = {
        name + record.label: record.spectrum
        for name, analysis in found.items()
        for record in analysis.records
        if record.spectrum is not None
    }
    if not spectra:
        raise InputError(f"{path} holds no density: analyze with --num-probes 1 or more")
    for name, spectrum in spectra.items():
        _agreed(path, spectrum.size, size, of=f", {name}")
    return {name: SpectrumCheck.of(spectrum) for name, spectrum in spectra.items()}


def _of_pair(held: Any, path: Path, size: int | None) -> SpectrumCheck:
    """Check nodes and weights, as an object of two names or as a list of the two."""
    stated = None
    if isinstance(held, Mapping):
        pair = next(((held[a], held[b]) for a, b in _NAMES if a in held and b in held), None)
        stated = next((held[name] for name in _SIZES if name in held), None)
        if pair is None:
            raise InputError(
                f"{path}: expected nodes and weights under the names nodes and weights, or "
                f"density_eigen and density_weight; got {', '.join(held) or 'none'}"
            )
    elif isinstance(held, Sequence) and len(held) == 2:
        pair = held[0], held[1]
    else:
        raise InputError(f"{path}: expected a list of two: nodes and weights")
    known = _agreed(path, None if stated is None else _size(path, stated), size)
    try:
        return check_spectrum(*pair, known)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _size(path: Path, stated: Any) -> int:
    """Return P as a file says it: an integer, of Python or in an array of one."""
    try:
        array = np.asarray(stated)
    except ValueError:  # lists of unequal lengths
        array = np.empty(0)
    if array.size == 1 and array.dtype.kind in "iu" and int(array.item()) >= 1:
        return int(array.item())
    shown = f"{array.size} values" if array.size != 1 else repr(array.item())
    raise InputError(
        f"{path}: the number of parameters must be one integer of at least 1, got {shown[:60]}"
    )


def _agreed(path: Path, stated: int | None, given: int | None, of: str = "") -> int:
    """Return P as the file or the caller says it; both may, if they agree."""
    known = given if stated is None else stated
    if known is None:
        raise InputError(
            f"{path} does not say the number of parameters P; give it with --parameter-count P"
        )
    if given is not None and known != given:
        raise InputError(f"{path}{of}: P is {stated} there, got --parameter-count {given}")
    return known


def _read_arrays(path: Path) -> Any:
    """Return what a file that is not JSON holds: an object of arrays, or nodes and weights."""
    if path.suffix.lower() in (".csv", ".txt"):
        return read_columns(path)
    if path.suffix == ".npy":
        return _halves(path, npy_array(path, "density_file"))
    if path.suffix == ".npz":
        known = {*itertools.chain(*_NAMES), *_SIZES}
        names = npz_names(path, "density_file")
        wanted = [name for name in names if name in known]
        read = npz_arrays(path, wanted, "density_file", unpacked="density_file")
        return {**dict.fromkeys(names), **dict(zip(wanted, read, strict=True))}
    raise InputError(f"{path}: expected one of {_READ}; pickles (.pt, .pkl) are not opened")


def _halves(path: Path, array: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    if array.ndim in (2, 3) and array.shape[0] == 2:
        return array[0], array[1]
    if array.ndim == 2 and array.shape[1] == 2:
        return array[:, 0], array[:, 1]
    raise InputError(f"{path}: expected shape (2, m), (2, runs, m) or (m, 2), got {array.shape}")
