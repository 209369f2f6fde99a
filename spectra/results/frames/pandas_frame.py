"""Rows of results as a pandas data frame whose columns know their units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from spectra.errors import InputError
from spectra.results.frames.columns import CHECKPOINT_COLUMNS, COLUMNS
from spectra.results.record import RowValue

if TYPE_CHECKING:
    import pandas


def data_frame(rows: Sequence[Mapping[str, RowValue]]) -> pandas.DataFrame:
    """Return rows as a data frame; what is not known is NaN in columns of numbers.

    ``frame.attrs["units"]`` and ``frame.attrs["columns"]`` say what each column holds.

    Args:
        rows: of :meth:`spectra.Analysis.rows`, which may begin with columns of the checkpoint.

    Raises:
        InputError: pandas is not installed; nothing else needs it.
    """
    try:
        import pandas
    except ImportError as error:
        raise InputError("a data frame needs pandas: pip install pandas, or take rows()") from error
    known = {**CHECKPOINT_COLUMNS, **COLUMNS}
    frame = pandas.DataFrame(list(rows), columns=None if rows else list(COLUMNS))
    for name in frame:
        if known[str(name)].unit and frame[name].dtype == object:
            frame[name] = frame[name].astype(float)
    frame.attrs["units"] = {name: known[name].unit for name in frame}
    frame.attrs["columns"] = {name: known[name].says for name in frame}
    return frame
