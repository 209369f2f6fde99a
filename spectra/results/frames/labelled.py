"""Results as labelled arrays: one for each quantity, over the class and what else varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spectra.errors import InputError
from spectra.findings.loss_analysis import LossAnalysis
from spectra.results.frames.columns import COLUMNS, CURVATURE, NUMBER
from spectra.results.record import RowValue, class_key, row

if TYPE_CHECKING:
    import xarray

Array = npt.NDArray[Any]
# What places a value, and lists of labels, are no quantities.
_PLACES = ("class", "classes")


@dataclass(frozen=True)
class Placed:
    """The records of one checkpoint, and where they belong among the arrays.

    Attributes:
        place: a coordinate for each dimension beside the class.
        records: of its losses.
    """

    place: tuple[Any, ...]
    records: tuple[LossAnalysis, ...]


@dataclass(frozen=True)
class LabelledArray:
    """One quantity.

    Attributes:
        dims: names of its dimensions.
        values: numbers, NaN where nothing is known; or words, empty there.
        units: ``loss / parameter²``, say; empty for words.
        says: what it holds, in a line.
    """

    dims: tuple[str, ...]
    values: Array
    units: str
    says: str


@dataclass(frozen=True)
class LabelledArrays:
    """All quantities of several results, over common dimensions.

    Attributes:
        coords: the labels along each dimension, such as ``epoch`` and ``class``.
        arrays: by the names of :data:`spectra.results.frames.columns.COLUMNS`, and
            ``density_nodes``, ``density_weights`` where there are densities.
        attrs: what the results are of, in words.
    """

    coords: Mapping[str, Array]
    arrays: Mapping[str, LabelledArray]
    attrs: Mapping[str, str]

    def to_xarray(self) -> xarray.Dataset:
        """Return them as an xarray data set.

        Raises:
            InputError: xarray is not installed; nothing else needs it.
        """
        try:
            import xarray
        except ImportError as error:
            raise InputError(
                "a data set needs xarray: pip install xarray, or take rows() or to_arrays()"
            ) from error
        arrays = {
            name: (one.dims, one.values, {"units": one.units, "long_name": one.says})
            for name, one in self.arrays.items()
        }
        return xarray.Dataset(arrays, dict(self.coords), dict(self.attrs))


def labelled_arrays(
    placed: Sequence[Placed], dims: Sequence[str] = (), *, attrs: Mapping[str, str]
) -> LabelledArrays:
    """Return arrays with the dimensions ``dims`` and ``class``.

    Numbers that are not known, or not there, are NaN, words empty. ``density_nodes`` and
    ``density_weights`` have the dimensions ``probe`` and ``node`` besides, where there are
    densities; a shorter run ends in NaN.

    Args:
        placed: the results, each with one coordinate for each of ``dims``.
        dims: names of the dimensions before the class.
        attrs: what they are of.

    Raises:
        InputError: two results have one place.
    """
    coords: dict[str, list[Any]] = {
        name: _in_order([one.place[k] for one in placed]) for k, name in enumerate(dims)
    }
    coords["class"] = _in_order([class_key(r.label) for one in placed for r in one.records])
    if not all(isinstance(label, int) for label in coords["class"]):
        coords["class"] = [str(label) for label in coords["class"]]
    cells = _cells(placed, coords)
    shape = tuple(map(len, coords.values()))
    rows = {index: row(record) for index, record in cells.items()}
    names = tuple(coords)
    arrays = {
        name: LabelledArray(names, _column(name, rows, shape), column.unit, column.says)
        for name, column in COLUMNS.items()
        if name not in _PLACES
    }
    arrays |= _densities(names, cells, shape)
    return LabelledArrays(
        {name: np.array(values) for name, values in coords.items()}, arrays, attrs
    )


def _in_order(values: Sequence[Any]) -> list[Any]:
    """Return each value once: numbers as they rise, others as they come."""
    once = list(dict.fromkeys(values))
    return sorted(once) if all(isinstance(value, int) for value in once) else once


def _cells(
    placed: Sequence[Placed], coords: Mapping[str, list[Any]]
) -> dict[tuple[int, ...], LossAnalysis]:
    """Return each record by its place in the arrays."""
    *dims, classes = ({value: k for k, value in enumerate(ones)} for ones in coords.values())
    found: dict[tuple[int, ...], LossAnalysis] = {}
    for one in placed:
        before = [dim[value] for dim, value in zip(dims, one.place, strict=True)]
        for record in one.records:
            key = class_key(record.label)
            index = (*before, classes[key if key in classes else str(key)])
            if index in found:
                where = ", ".join(map(str, (*one.place, f"class {record.label}")))
                raise InputError(f"two results are of {where}; take them apart, or name more dims")
            found[index] = record
    return found


def _column(
    name: str, rows: Mapping[tuple[int, ...], Mapping[str, RowValue]], shape: tuple[int, ...]
) -> Array:
    values = {index: one[name] for index, one in rows.items()}
    there = [value for value in values.values() if value is not None]
    whole = len(there) == int(np.prod(shape))
    if COLUMNS[name].unit:
        array = np.full(shape, np.nan)
        for index, value in values.items():
            array[index] = np.nan if value is None else value
        integers = whole and all(isinstance(value, int) for value in there)
        return array.astype(np.int64) if integers else array
    words = np.full(shape, "", dtype=object)
    for index, value in values.items():
        words[index] = "" if value is None else value
    if whole and all(isinstance(value, bool) for value in there):
        return words.astype(bool)
    return words.astype(str)


def _densities(
    names: tuple[str, ...], cells: Mapping[tuple[int, ...], LossAnalysis], shape: tuple[int, ...]
) -> dict[str, LabelledArray]:
    spectra = {index: r.spectrum for index, r in cells.items() if r.spectrum is not None}
    if not spectra:
        return {}
    probes = max(len(spectrum.probes) for spectrum in spectra.values())
    nodes = max(len(t) for spectrum in spectra.values() for t in spectrum.probes)
    values, weights = np.full((2, *shape, probes, nodes), np.nan)
    for index, spectrum in spectra.items():
        for k, run in enumerate(spectrum.probes):
            values[(*index, k)][: len(run)] = run.ritz_values()
            weights[(*index, k)][: len(run)] = run.quadrature_weights()
    dims = (*names, "probe", "node")
    said = "of Gauss quadrature, of each probe"
    return {
        "density_nodes": LabelledArray(dims, values, CURVATURE, f"nodes {said}"),
        "density_weights": LabelledArray(dims, weights, NUMBER, f"weights {said}, which sum to 1"),
    }
