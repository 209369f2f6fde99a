"""What is kept of an analysis while it goes on, loss by loss, and when that is taken again."""

import functools
import hashlib
from dataclasses import replace
from pathlib import Path

import spectra
from spectra import Analysis, LossAnalysis, load_analysis, save_analysis
from spectra.errors import InputError
from spectra.system.files.names import file_name


@functools.cache
def code_digest() -> str:
    """Return the SHA-256 of the code that finds and names things: ``spectra`` and ``checkpoints``.

    A version number would have to be raised with every rule that changes; this cannot be forgotten.
    """
    h = hashlib.sha256()
    for package in (Path(spectra.__path__[0]), Path(__file__).parents[1]):
        for path in sorted(package.rglob("*.py")):
            h.update(path.relative_to(package.parent).as_posix().encode())
            h.update(path.read_bytes())
    return h.hexdigest()


def keep_loss(units: Path, header: Analysis, record: LossAnalysis) -> None:
    """Write ``units/LABEL.json``: a loss's result, what it is of, and the code that found it."""
    path = _path(units, record.label)
    save_analysis(path, replace(header, records=(record,), versions=_versions(header)))


def kept_loss(units: Path, header: Analysis, label: str) -> LossAnalysis | None:
    """Return a loss's kept result; None where there is none of the same inputs, choices and code.

    Args:
        units: folder of what is kept.
        header: checkpoint, protocol and versions of the analysis that asks.
        label: of the loss.
    """
    path = _path(units, label)
    if not path.exists():
        return None
    try:
        kept = load_analysis(path)
    except InputError:
        return None
    same = (
        kept.checkpoint == header.checkpoint
        and kept.protocol == header.protocol
        and kept.versions == _versions(header)
    )
    return kept.records[0] if same and kept.records else None


def _path(units: Path, label: str) -> Path:
    return units / f"{file_name(label)}.json"


def _versions(header: Analysis) -> dict[str, str]:
    return {**header.versions, "code": code_digest()}
