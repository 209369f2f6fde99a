"""Several results as one data frame or one data set: over training, seeds and recipes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from spectra.errors import InputError
from spectra.results.analysis import Analysis
from spectra.results.frames.columns import CHECKPOINT_COLUMNS
from spectra.results.frames.labelled import LabelledArrays, Placed, labelled_arrays
from spectra.results.frames.pandas_frame import data_frame

if TYPE_CHECKING:
    import pandas
    import xarray


def to_dataframe(analyses: Iterable[Analysis]) -> pandas.DataFrame:
    """Return one line for each checkpoint and loss.

    The columns ``checkpoint``, ``recipe``, ``seed``, ``epoch`` and ``split`` stand before those of
    :meth:`spectra.Analysis.to_dataframe`.

    Args:
        analyses: such as ``recorder.analyses``, or what ``checkpoints.analyze_trajectory`` returns.

    Raises:
        InputError: pandas is not installed.

    Example:
        >>> import torch, spectra
        >>> data = torch.linspace(-1, 1, 24).view(6, 4), [0, 1, 2, 0, 1, 2]
        >>> model, recorder = torch.nn.Linear(4, 3), spectra.ClassSpectra(data, num_steps=3)
        >>> found = [recorder.record(model, epoch) for epoch in (5, 10)]
        >>> frame = spectra.to_dataframe(found)
        >>> frame.pivot(index="epoch", columns="class", values="lambda_min").shape
        (2, 3)
        >>> frame.attrs["units"]["lambda_min"]
        'loss / parameter²'
    """
    rows = [
        {**{name: _of(a, name) for name in CHECKPOINT_COLUMNS}, **line}
        for a in analyses
        for line in a.rows()
    ]
    return data_frame(rows)


def to_arrays(analyses: Iterable[Analysis], dims: Sequence[str] | None = None) -> LabelledArrays:
    """Return an array for each quantity, with the dimensions ``dims`` and ``class``.

    NumPy is enough for them; :func:`spectra.to_xarray` returns the same as a data set of xarray.

    Args:
        analyses: as for :func:`spectra.to_dataframe`.
        dims: what sets the results apart: ``checkpoint``, ``recipe``, ``seed``, ``epoch``,
            ``split``; None: those in which they differ, and the epoch.

    Raises:
        InputError: a dimension is none of these, or two results have the same place.

    Example:
        >>> import torch, spectra
        >>> data = torch.linspace(-1, 1, 24).view(6, 4), [0, 1, 2, 0, 1, 2]
        >>> model, recorder = torch.nn.Linear(4, 3), spectra.ClassSpectra(data, num_steps=3)
        >>> over = spectra.to_arrays(recorder.record(model, epoch) for epoch in (5, 10))
        >>> over.arrays["ratio"].dims, over.arrays["ratio"].values.shape
        (('epoch', 'class'), (2, 3))
    """
    found = list(analyses)
    dims = _differing(found) if dims is None else dims
    unknown = [name for name in dims if name not in CHECKPOINT_COLUMNS]
    if unknown:
        raise InputError(
            f"dims must be some of {', '.join(CHECKPOINT_COLUMNS)}, got {', '.join(unknown)}"
        )
    placed = [Placed(tuple(_place(a, name) for name in dims), a.records) for a in found]
    return labelled_arrays(placed, dims, attrs=found[0].described() if found else {})


def _differing(analyses: Sequence[Analysis]) -> tuple[str, ...]:
    """Return what sets results apart: the checkpoint's name only where nothing else does."""
    known = {name: [_of(a, name) for a in analyses] for name in CHECKPOINT_COLUMNS}
    dims = [name for name in ("recipe", "seed", "split", "epoch") if len(set(known[name])) > 1]
    if None not in known["epoch"] and "epoch" not in dims:
        dims.append("epoch")
    told = [tuple(known[name][k] for name in dims) for k in range(len(analyses))]
    if len(set(told)) < len(told) or not dims:
        dims.insert(0, "checkpoint")
    return tuple(dims)


def to_xarray(analyses: Iterable[Analysis], dims: Sequence[str] = ("epoch",)) -> xarray.Dataset:
    """Return an array for each quantity, with the dimensions ``dims`` and ``class``.

    See :meth:`spectra.Analysis.to_xarray` for the arrays. Where one of the places has no result,
    numbers are NaN and words are empty.

    Args:
        analyses: as for :func:`spectra.to_dataframe`.
        dims: what sets the results apart: ``checkpoint``, ``recipe``, ``seed``, ``epoch``,
            ``split``.

    Raises:
        InputError: xarray is not installed, a dimension is none of these, or two results have the
            same place.

    Example:
        >>> import torch, spectra
        >>> data = torch.linspace(-1, 1, 24).view(6, 4), [0, 1, 2, 0, 1, 2]
        >>> model, recorder = torch.nn.Linear(4, 3), spectra.ClassSpectra(data, num_steps=3)
        >>> found = [recorder.record(model, epoch) for epoch in (5, 10)]
        >>> over = spectra.to_xarray(found)
        >>> over["ratio"].dims, over["density_nodes"].dims
        (('epoch', 'class'), ('epoch', 'class', 'probe', 'node'))
        >>> float(over["ratio"].sel({"class": 2}).max()) > 0
        True
    """
    return to_arrays(analyses, dims).to_xarray()


def _of(analysis: Analysis, name: str) -> Any:
    known = analysis.checkpoint
    values = {
        "checkpoint": known.name,
        "recipe": known.recipe,
        "seed": known.seed,
        "epoch": known.epoch,
        "split": analysis.protocol.split,
    }
    return values[name]


def _place(analysis: Analysis, name: str) -> Any:
    value = _of(analysis, name)
    if value is None:
        raise InputError(
            f"{analysis.checkpoint.title} does not say its {name}; leave it out of dims"
        )
    return value
