"""SAM against its theorem at a checkpoint: what was measured, and its file ``theorem.json``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spectra.findings.sam.sam_effect import SamEffect, sentence_over_radii
from spectra.findings.sharpness import Amplification, ClassFactor
from spectra.results.plain import from_plain, read_document, to_plain
from spectra.system.files.writing import WHEN_SET, write_json

FORMAT = "spectra.theorem"
SCHEMA = 1


@dataclass(frozen=True)
class DirectionReport:
    """One class and its direction of least curvature, v.

    Attributes:
        label: of the class.
        n: images.
        loss: mean loss.
        lambda_min: vᵀHv, loss / parameter².
        lambda_max: largest eigenvalue found.
        residual: ‖Hv - λmin v‖.
        grad_norm: ‖g‖ of the class.
        grad_along: ⟨g, v⟩.
        critical_rho: 2‖g‖/|λmin|; None where λmin >= 0.
        gauss_newton: vᵀGv.
        rest: vᵀ(H - G)v.
        class_factors: SAM on the class's own loss.
        batches: SAM on mini-batches of all images; empty where a batch is all of them.
        correlated_noise: E⟨g_B, v⟩², CNC's γ as measured; None without batches.
        line: losses along v, by class, at ``line_steps``.
        line_steps: t, parameter units.
        cross: vᵀH_c'v by class c'.
        overlaps: |⟨v, v_c'⟩| by class c'.
        effects: what SAM does to the step along v at each ρ; empty in files of earlier versions.
    """

    label: str
    n: int
    loss: float
    lambda_min: float
    lambda_max: float
    residual: float
    grad_norm: float
    grad_along: float
    critical_rho: float | None
    gauss_newton: float
    rest: float
    class_factors: tuple[ClassFactor, ...]
    batches: tuple[Amplification, ...]
    correlated_noise: float | None
    line: Mapping[str, tuple[float, ...]]
    line_steps: tuple[float, ...]
    cross: Mapping[str, float]
    overlaps: Mapping[str, float]
    effects: tuple[SamEffect, ...] = field(default=(), metadata=WHEN_SET)

    @property
    def sentence(self) -> str:
        """Whether SAM strengthens or weakens the class's step along v, for people."""
        return sentence_over_radii(self.effects)


@dataclass(frozen=True)
class MeasuredAt:
    """The weights.

    Attributes:
        name: of the checkpoint.
        epoch: epochs of training done; None where it does not say.
    """

    name: str
    epoch: int | None


@dataclass(frozen=True)
class TheoremProtocol:
    """What was measured.

    Attributes:
        images: ``plain``, ``frozen:K`` ...
        split: ``train`` or ``test``.
        loss: as in ``spectra analyze``.
        images_per_class: limit; None: every image.
        num_batches: mini-batches, drawn from all images of the split.
        batch_size: images in each.
        seed: of the draws.
    """

    images: str
    split: str
    loss: str
    images_per_class: int | None
    num_batches: int
    batch_size: int
    seed: int


@dataclass(frozen=True)
class TheoremResult:
    """What SAM does along each class's direction of least curvature.

    Attributes:
        checkpoint: at which weights.
        protocol: over which images.
        classes: a report for each.
    """

    checkpoint: MeasuredAt
    protocol: TheoremProtocol
    classes: tuple[DirectionReport, ...]


def theorem_to_plain(result: TheoremResult) -> dict[str, Any]:
    """Return the content of ``theorem.json``, documented in docs/file-formats.md."""
    return {"format": FORMAT, "schema": SCHEMA, **to_plain(result)}


def save_theorem(path: str | Path, result: TheoremResult) -> None:
    """Write ``theorem.json`` atomically."""
    write_json(Path(path), theorem_to_plain(result))


def load_theorem(path: str | Path) -> TheoremResult:
    """Read a ``theorem.json``.

    Raises:
        InputError: not JSON, another format, a newer schema, or a value that does not fit.
    """
    plain = read_document(
        Path(path),
        what="a theorem.json of 'spectra theorem'",
        format_name=FORMAT,
        newest=SCHEMA,
    )
    return from_plain(plain, TheoremResult, origin=str(path))
