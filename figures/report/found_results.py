"""What a report is made of: result files, found in the files and folders that were named."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spectra import Analysis, load_analysis
from spectra.errors import InputError
from spectra.results.analysis import FORMAT as ANALYSIS
from spectra.results.directions.image_curvatures import FORMAT as IMAGES
from spectra.results.directions.image_curvatures import ImagesResult, load_images
from spectra.results.protocol_rows import FRESH, ProtocolRow, protocol_rows
from spectra.results.study_result import FORMAT as STUDY
from spectra.results.study_result import load_study_result
from spectra.system.files.documents import read_json
from spectra.system.files.reading import file_digest, opened
from spectra.system.foreign_text import printable

ANALYSIS_FILE, STUDY_FILE, PROTOCOLS_FILE = "analysis.json", "results.json", "protocols.json"
# Files of ours by name: a damaged one is named, where one of somebody else is passed over.
_OURS = (ANALYSIS_FILE, STUDY_FILE, "images.json")
# In them lie parts of results, and warm starts. The study's file holds what is in the last two.
_PASSED_OVER, _IN_STUDY = ("units", "warm"), ("analyses", "trajectories")
_READ = (ANALYSIS, STUDY, IMAGES)
# Ours: of a file, in which its format stands first.
_HEAD = 200
_FORMAT = re.compile(rb'\A\s*\{\s*"format"\s*:\s*"([^"]*)"')
# Folders that commands make for a run beside it.
_BESIDE = ("analyze", "trajectory", "protocols")
# In which order choices of images stand.
_KINDS = ("plain", "frozen", "fresh")


@dataclass(frozen=True)
class FoundAnalysis:
    """One analysis, and where it stands.

    Attributes:
        analysis: of a checkpoint.
        file: its file, from the folder that was named on; empty for one in memory.
        digest: SHA-256 of the file; empty likewise.
        folder: where the file lies, which sets networks of one name apart.
    """

    analysis: Analysis
    file: str = ""
    digest: str = ""
    folder: str = ""


@dataclass(frozen=True)
class FoundProtocols:
    """One checkpoint under several choices of images.

    Attributes:
        title: which checkpoint.
        rows: a loss's protocols beside each other.
    """

    title: str
    rows: tuple[ProtocolRow, ...]


@dataclass(frozen=True)
class FoundImages:
    """Shares of images, and the folder whose pictures they go with.

    Attributes:
        result: of ``spectra images``.
        folder: where it lies.
    """

    result: ImagesResult
    folder: Path


@dataclass(frozen=True)
class FoundResults:
    """All results of a report.

    Attributes:
        analyses: of checkpoints, in the order found.
        protocols: comparisons of choices of images.
        images: shares of images.
    """

    analyses: tuple[FoundAnalysis, ...]
    protocols: tuple[FoundProtocols, ...]
    images: tuple[FoundImages, ...]


def find_results(runs: Iterable[str | Path | Analysis]) -> FoundResults:
    """Read the results in files and folders.

    A folder is looked through with the folders in it. One that holds none, as that of a training
    does, stands for the folders that commands make for it beside it: ``analyze-NAME``,
    ``trajectory-NAME`` and ``protocols-NAME``. Results beside each other that differ in the choice
    of images alone, or in whose recurrence ran, are one comparison; where there is nothing else,
    its first result of a fixed matrix is shown as an analysis too.

    Args:
        runs: result files, folders with some in them, or results in memory.

    Raises:
        InputError: one is not there, is no result, is damaged, or holds none.
    """
    found: dict[Path, list[FoundAnalysis]] = {}
    images: list[FoundImages] = []
    seen: set[Path] = set()
    for run in runs:
        if isinstance(run, Analysis):
            found.setdefault(Path(), []).append(FoundAnalysis(run))
            continue
        for path, named in _files_of(Path(run)):
            if path.resolve() in seen:
                continue
            seen.add(path.resolve())
            if _format_of(path) == IMAGES:
                images.append(FoundImages(load_images(path), path.parent))
            else:
                found.setdefault(path.parent, []).extend(_analyses_in(path, named))
    comparisons = {folder: _compared(each) for folder, each in found.items()}
    apart = {id(one) for compared in comparisons.values() for one in compared.values()}
    analyses = [one for each in found.values() for one in each if id(one) not in apart]
    if not analyses:
        fixed = [
            [one for name, one in compared.items() if "/" not in name and name != FRESH]
            for compared in comparisons.values()
        ]
        analyses = [each[0] for each in fixed if each]
    protocols = tuple(_protocols(compared) for compared in comparisons.values() if compared)
    if not (analyses or protocols or images):
        raise InputError("a report is of results; name at least one file or folder of them")
    return FoundResults(tuple(analyses), protocols, tuple(images))


def _compared(each: Sequence[FoundAnalysis]) -> dict[str, FoundAnalysis]:
    """Return the results of a folder by protocol where they are one comparison; else none."""
    beside = [one for one in each if not one.file.endswith((ANALYSIS_FILE, STUDY_FILE))]
    by_name = {_protocol_of(one.analysis): one for one in beside}
    weights = {(one.analysis.checkpoint.title, one.analysis.protocol.split) for one in beside}
    if len(by_name) < 2 or len(by_name) < len(beside) or len(weights) > 1:
        return {}

    return {name: by_name[name] for name in sorted(by_name, key=_place)}


def _place(protocol: str) -> tuple[int, int, str, str]:
    """Return by what protocols are sorted: kind, how many views, what else; PyHessian's after."""
    images, _, engine = protocol.partition("/")
    kind, _, views = images.partition(":")
    number = int(views) if views.isdecimal() and len(views) < 19 else 0
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS), number, images, engine


def _protocols(compared: Mapping[str, FoundAnalysis]) -> FoundProtocols:
    """Return the rows of a comparison."""
    title = next(iter(compared.values())).analysis.checkpoint.title
    rows = protocol_rows({name: one.analysis for name, one in compared.items()})
    return FoundProtocols(title, tuple(rows))


def _analyses_in(path: Path, named: str) -> list[FoundAnalysis]:
    """Return the analyses of a result or of a study."""
    held: Iterable[Analysis]
    if _format_of(path) == STUDY:
        study = load_study_result(path)
        held = (*study.analyses, *study.trajectories)
    else:
        held = (load_analysis(path),)
    digest = file_digest(path) or ""
    folder = str(Path(os.path.abspath(path)).parent)
    return [FoundAnalysis(analysis, named, digest, folder) for analysis in held]


def _files_of(run: Path) -> list[tuple[Path, str]]:
    """Return the result files of what was named, each with its name from there on."""
    if run.is_dir():
        found = _files_in(run) or [
            file
            for kind in _BESIDE
            for folder in sorted(_absolute(run).parent.glob(f"{kind}-*"))
            if folder.name.partition("-")[2].partition("@")[0] == _absolute(run).name
            for file in _files_in(folder)
        ]
        if not found:
            raise InputError(
                f"{run} holds no results; give 'spectra analyze {run}' first, or name the folder "
                "that a command wrote to"
            )
        return found
    if not run.exists():
        raise InputError(
            f"there is no {run}; name a result file, or a folder that 'spectra analyze', "
            "'trajectory' or 'pipeline' wrote to"
        )
    if run.name == PROTOCOLS_FILE:  # a table, whose results lie beside it
        return _files_of(run.parent)
    if _format_of(run) not in _READ:
        raise InputError(
            f"{run} is no result of 'spectra analyze', 'trajectory', 'pipeline' or 'images'"
        )
    return [(run, printable(run.name))]


def _files_in(folder: Path) -> list[tuple[Path, str]]:
    top = _absolute(folder)
    return [
        (path, printable(f"{top.name}/{path.relative_to(folder).as_posix()}"))
        for path in _walk(folder)
    ]


def _walk(top: Path) -> Iterator[Path]:
    """Give the result files under a folder, in the order of their names."""
    for place, folders, names in os.walk(top):
        here = Path(place)
        studied = STUDY_FILE in names and _is_ours(here / STUDY_FILE)
        passed = (*_PASSED_OVER, *(_IN_STUDY if studied else ()))
        folders[:] = sorted(name for name in folders if name not in passed and name[0] != ".")
        for name in sorted(names):
            if name.endswith(".json") and _is_ours(here / name):
                yield here / name


def _is_ours(path: Path) -> bool:
    """Say whether a file in a folder is to be read.

    Raises:
        InputError: it has a name of ours, and is damaged.
    """
    try:
        if _format_of(path) in _READ:
            return True
    except InputError:  # a pipe, say, or a file that its owner alone may read
        if path.name in _OURS:
            raise
        return False
    if path.name in _OURS:
        read_json(path, what="a result of spectra")
    return False


def _format_of(path: Path) -> str:
    """Return the format that a file begins with; empty for a file of another kind."""
    with opened(path, None) as file:
        found = _FORMAT.match(file.read(_HEAD))
    return found[1].decode(errors="replace") if found else ""


def _protocol_of(analysis: Analysis) -> str:
    """Return the name of a choice of images and of a recurrence: ``fresh/pyhessian``."""
    solver = analysis.protocol.solver
    other = "" if solver is None or solver.engine == "spectra" else f"/{solver.engine}"
    return f"{analysis.protocol.images}{other}"


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))
