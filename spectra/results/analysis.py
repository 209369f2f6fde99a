"""The result of one checkpoint, and its file: raw quadrature and provenance as strict JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from spectra.findings.loss_analysis import LossAnalysis
from spectra.results.frames.labelled import Placed, labelled_arrays
from spectra.results.frames.pandas_frame import data_frame
from spectra.results.groups.many import are_many
from spectra.results.plain import from_plain, read_document, to_plain
from spectra.results.provenance import AnalysisProtocol, CheckpointIdentity
from spectra.results.record import RowValue, StoredRecord, record_to_plain, row
from spectra.results.stored.by_column import records_as_list, to_columns
from spectra.results.tables import to_html, to_markdown, to_text
from spectra.system.files.limits import check_limit
from spectra.system.files.writing import to_json, to_line, write_atomically

if TYPE_CHECKING:
    import pandas
    import xarray

FORMAT = "spectra.analysis"
SCHEMA = 2  # 2 added certificates; a file of schema 1 reads as one without
BY_COLUMN = 3  # the schema of files of many records, which hold them by column


@dataclass(frozen=True, repr=False)
class Analysis:
    """The losses of one checkpoint, analyzed under one set of choices.

    A prompt shows it as a short table, a notebook as one in HTML.

    Attributes:
        checkpoint: whose losses.
        protocol: what was computed: split, loss, reduction, images, dtype, device, solver.
        records: one for each class, group or the whole.
        versions: of the libraries that computed it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import torch
        >>> from spectra import Analysis, SolverSettings, analyze_loss, class_hessian, load_analysis
        >>> from spectra.results.provenance import AnalysisProtocol, CheckpointIdentity
        >>> images, labels = torch.linspace(-1, 1, 120).view(30, 4), torch.arange(30) % 3
        >>> H = class_hessian(torch.nn.Linear(4, 3), images, labels, 0)
        >>> settings = SolverSettings(num_probes=1, num_steps=4)
        >>> record = analyze_loss(H, label="0", classes=(0,), settings=settings)
        >>> found = Analysis(CheckpointIdentity("line"), AnalysisProtocol(loss="ce"), (record,))
        >>> with TemporaryDirectory() as folder:
        ...     found.save(f"{folder}/found.json")
        ...     read = load_analysis(f"{folder}/found.json")
        >>> print(read)
        line (loss ce)
        class   n  right % ...λmin ...λmax  |λmin/λmax| ... verdict
        0      10 ...
    """

    checkpoint: CheckpointIdentity
    protocol: AnalysisProtocol
    records: tuple[LossAnalysis, ...]
    versions: Mapping[str, str] = field(default_factory=dict)

    def record(self, label: str | int) -> LossAnalysis:
        """Return the record of ``label``, such as ``tail`` or 8; KeyError if it is not there."""
        for record in self.records:
            if record.label == str(label):
                return record
        there = ", ".join(record.label for record in self.records)
        raise KeyError(f"no record of {label}; there are {there}")

    def rows(self) -> list[dict[str, RowValue]]:
        """Return one flat dictionary for each record: the table, and ``analyze --json``."""
        return [row(record) for record in self.records]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return :meth:`rows` as a pandas data frame, a line for each record.

        What is not known is NaN in columns of numbers. ``attrs["units"]`` has the unit of each
        column and ``attrs["columns"]`` what it holds, as in
        :data:`spectra.results.frames.columns.COLUMNS`.

        Raises:
            InputError: pandas is not installed; nothing else needs it.
        """
        return data_frame(self.rows())

    def to_xarray(self) -> xarray.Dataset:
        """Return an array over the dimension ``class`` for each column of :meth:`to_dataframe`.

        Each has its unit in ``attrs["units"]`` and what it holds in ``attrs["long_name"]``. Where
        there are densities, ``density_nodes`` and ``density_weights``, of dimensions ``class``,
        ``probe`` and ``node``, are their raw quadrature; a run of fewer steps ends in NaN.

        Raises:
            InputError: xarray is not installed; nothing else needs it.
        """
        return labelled_arrays([Placed((), self.records)], attrs=self.described()).to_xarray()

    def to_markdown(self) -> str:
        """Return the short table as GitHub-flavoured Markdown, for an issue or a note."""
        return to_markdown(self._title(), self.records)

    def described(self) -> dict[str, str]:
        """Return what the result is of, in words: checkpoint, loss, images, split, reduction."""
        said = {
            "checkpoint": self.checkpoint.title,
            "loss": self.protocol.loss,
            "images": self.protocol.images,
            "split": self.protocol.split,
            "reduction": self.protocol.reduction,
        }
        return {name: text for name, text in said.items() if text is not None}

    def save(self, path: str | Path) -> None:
        """Write the result file; :func:`load_analysis` reads it."""
        save_analysis(path, self)

    def __repr__(self) -> str:
        return to_text(self._title(), self.records)

    def _repr_html_(self) -> str:
        return to_html(self._title(), self.records)

    def _title(self) -> str:
        images = " ".join(filter(None, (self.protocol.images, self.protocol.split)))
        said = [
            f"loss {self.protocol.loss}" if self.protocol.loss else "",
            f"{images} images" if images else "",
            f"by {' '.join(self.protocol.parameters)} alone" if self.protocol.parameters else "",
        ]
        stated = ", ".join(filter(None, said))
        return f"{self.checkpoint.title} ({stated})" if stated else self.checkpoint.title


def save_analysis(path: str | Path, analysis: Analysis) -> None:
    """Write the result file atomically; equal results give equal bytes.

    A file of more than :data:`spectra.results.groups.many.MANY` records holds them by column.
    """
    write_atomically(Path(path), analysis_to_json(analysis).encode())


def load_analysis(path: str | Path) -> Analysis:
    """Read a result file.

    Raises:
        InputError: not JSON, not this format, a newer schema, or a value that does not fit:
            ``FILE: records[3].lambda_min: expected a number, got 'x'``.

    Example:
        >>> import tempfile, torch, spectra
        >>> data = torch.ones(6, 4), [0, 1, 2, 0, 1, 2]
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
        >>> found = spectra.analyze_classes(model, data, 0, num_steps=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found.save(f"{folder}/found.json")
        ...     read = spectra.load_analysis(f"{folder}/found.json")
        >>> read.record("0").n
        2
    """
    plain = read_document(
        Path(path),
        what="a result file of 'spectra analyze'",
        format_name=FORMAT,
        newest=BY_COLUMN,
    )
    plain = records_as_list(plain, origin=str(path))
    return from_plain(plain, StoredAnalysis, origin=str(path)).analysis()


def analysis_to_plain(analysis: Analysis) -> dict[str, Any]:
    """Return the content of the result file, documented in docs/file-formats.md."""
    many = are_many(analysis.records)
    # Nodes and weights follow from the recurrence, and are half of a density.
    records = [record_to_plain(record, quadrature=not many) for record in analysis.records]
    return {
        "format": FORMAT,
        "schema": BY_COLUMN if many else SCHEMA,
        "checkpoint": to_plain(analysis.checkpoint),
        "protocol": to_plain(analysis.protocol),
        "versions": to_plain(analysis.versions),
        "records": {"count": len(records), "columns": to_columns(records)} if many else records,
    }


def analysis_to_json(analysis: Analysis) -> str:
    """Return the text of the result file; of many records each column is a line."""
    plain = analysis_to_plain(analysis)
    if plain["schema"] != BY_COLUMN:
        return to_json(plain)
    records = plain.pop("records")
    lines = ",\n".join(
        f"   {to_line(key)}: {to_line(column)}" for key, column in records["columns"].items()
    )
    columns = f'{{\n  "count": {records["count"]},\n  "columns": {{\n{lines}\n  }}\n }}'
    return to_json(plain).removesuffix("\n}\n") + f',\n "records": {columns}\n}}\n'


class StoredAnalysis(msgspec.Struct, frozen=True):
    """The content of a result file, as it is read."""

    checkpoint: CheckpointIdentity
    protocol: AnalysisProtocol
    versions: dict[str, str]
    records: list[StoredRecord]

    def __post_init__(self) -> None:
        if min(self.checkpoint.class_counts, default=0) < 0:
            raise ValueError("class_counts of the checkpoint must not be negative")
        squares = sum(r.spectrum.squares for r in self.records if r.spectrum is not None)
        check_limit("eigenvectors", squares, "spectra of the records")
        times = Counter(str(record.label) for record in self.records)
        twice = next((label for label, number in times.items() if number > 1), None)
        if twice is not None:
            raise ValueError(f"records must be of different classes, got {twice[:60]} twice")

    def analysis(self) -> Analysis:
        """Return what the file holds."""
        records = tuple(stored.record() for stored in self.records)
        return Analysis(self.checkpoint, self.protocol, records, self.versions)
