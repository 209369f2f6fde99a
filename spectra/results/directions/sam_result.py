"""What SAM does to the step along each class's v_min, and its file ``sam.json``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectra.findings.sam.sam_effect import SamEffect, sentence_over_radii
from spectra.results.directions.theorem_result import MeasuredAt, TheoremProtocol
from spectra.results.plain import from_plain, read_document, to_plain
from spectra.system.files.writing import write_json

FORMAT = "spectra.sam"
SCHEMA = 1


@dataclass(frozen=True)
class SamResult:
    """What SAM does to the step along v_min of some classes of one checkpoint.

    Attributes:
        checkpoint: at which weights.
        protocol: over which images and batches.
        effects: one for each class and ρ, those of a class together.
    """

    checkpoint: MeasuredAt
    protocol: TheoremProtocol
    effects: tuple[SamEffect, ...]

    @property
    def by_class(self) -> dict[str, tuple[SamEffect, ...]]:
        """The effects of each class, by rising place of its ρ."""
        found: dict[str, tuple[SamEffect, ...]] = {}
        for effect in self.effects:
            found[effect.label] = (*found.get(effect.label, ()), effect)
        return found

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found of each class, for people."""
        return tuple(sentence_over_radii(effects) for effects in self.by_class.values())


def sam_to_plain(result: SamResult) -> dict[str, Any]:
    """Return the content of ``sam.json``, documented in docs/file-formats.md."""
    return {"format": FORMAT, "schema": SCHEMA, **to_plain(result)}


def save_sam(path: str | Path, result: SamResult) -> None:
    """Write ``sam.json`` atomically."""
    write_json(Path(path), sam_to_plain(result))


def load_sam(path: str | Path) -> SamResult:
    """Read a ``sam.json``.

    Raises:
        InputError: not JSON, another format, a newer schema, or a value that does not fit.
    """
    plain = read_document(
        Path(path), what="a sam.json of 'spectra sam'", format_name=FORMAT, newest=SCHEMA
    )
    return from_plain(plain, SamResult, origin=str(path))
