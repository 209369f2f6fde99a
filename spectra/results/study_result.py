"""The result of a study, recipes by seeds by splits, and its file ``results.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from spectra.results.analysis import Analysis, StoredAnalysis, analysis_to_plain
from spectra.results.frames.many_results import to_dataframe, to_xarray
from spectra.results.plain import from_plain, read_document, to_plain
from spectra.results.stored.by_column import records_as_list
from spectra.system.files.writing import write_json

if TYPE_CHECKING:
    import pandas
    import xarray

FORMAT = "spectra.study"
SCHEMA = 1


@dataclass(frozen=True)
class StudyResult:
    """Every analysis of a study.

    Attributes:
        name: of the study.
        analyses: of the last epoch, in the order recipes, seeds, splits.
        trajectories: of every kept epoch, in the order recipes, seeds, epochs.
        versions: of the libraries that computed it.
    """

    name: str
    analyses: tuple[Analysis, ...]
    trajectories: tuple[Analysis, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def last(self, recipe: str, split: str) -> list[Analysis]:
        """Return the analysis of the last epoch for each seed of a recipe on a split."""
        return [a for a in self.analyses if _is_of(a, recipe, split)]

    def runs(self, recipe: str, split: str) -> list[list[Analysis]]:
        """Return the trajectories of a recipe on a split: one list of epochs for each seed."""
        by_seed: dict[int | None, list[Analysis]] = {}
        for a in self.trajectories:
            if _is_of(a, recipe, split):
                by_seed.setdefault(a.checkpoint.seed, []).append(a)
        return list(by_seed.values())

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the results of the last epochs, see :func:`spectra.to_dataframe`."""
        return to_dataframe(self.analyses)

    def to_xarray(self) -> xarray.Dataset:
        """Return the results of the last epochs, by recipe, seed, split and class.

        ``spectra.to_xarray(study.trajectories, dims=("recipe", "seed", "split", "epoch"))`` is
        every kept epoch.
        """
        return to_xarray(self.analyses, dims=("recipe", "seed", "split"))

    @property
    def splits(self) -> list[str]:
        """``train``, ``test`` or both."""
        return list(dict.fromkeys(str(a.protocol.split) for a in self.analyses))

    @property
    def recipes(self) -> list[str]:
        """Names in the order of the study."""
        return list(dict.fromkeys(str(a.checkpoint.recipe) for a in self.analyses))


def save_study_result(path: str | Path, result: StudyResult) -> None:
    """Write the file atomically; equal results give equal bytes."""
    write_json(
        Path(path),
        {
            "format": FORMAT,
            "schema": SCHEMA,
            "name": result.name,
            "versions": to_plain(result.versions),
            "analyses": [analysis_to_plain(a) for a in result.analyses],
            "trajectories": [analysis_to_plain(a) for a in result.trajectories],
        },
    )


def load_study_result(path: str | Path) -> StudyResult:
    """Read a study's ``results.json``.

    Raises:
        InputError: not JSON, another format, a newer schema, or a value that does not fit:
            ``FILE: analyses[3].records[0].loss: expected a number, got 'x'``.
    """
    plain = read_document(
        Path(path), what="a study's results.json", format_name=FORMAT, newest=SCHEMA
    )
    for key in ("analyses", "trajectories"):
        if isinstance(plain.get(key), list):
            plain[key] = [
                records_as_list(one, origin=f"{path}: {key}[{k}]")
                for k, one in enumerate(plain[key])
            ]
    stored = from_plain(plain, _StoredStudy, origin=str(path))
    return StudyResult(
        stored.name,
        tuple(a.analysis() for a in stored.analyses),
        tuple(a.analysis() for a in stored.trajectories),
        stored.versions,
    )


class _StoredStudy(msgspec.Struct, frozen=True):
    """The content of the file, as it is read."""

    name: str
    analyses: list[StoredAnalysis]
    trajectories: list[StoredAnalysis] = []
    versions: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not self.analyses:
            raise ValueError("analyses must hold one at least; the study is not finished")
        for analysis in (*self.analyses, *self.trajectories):
            known = analysis.checkpoint
            if None in (known.recipe, analysis.protocol.split) or not known.class_counts:
                raise ValueError(
                    f"{known.title[:60]} must say its recipe, its split and its class_counts"
                )


def _is_of(analysis: Analysis, recipe: str, split: str) -> bool:
    return analysis.checkpoint.recipe == recipe and analysis.protocol.split == split
