"""Bulk and outliers by class, and their file ``papyan2020.json``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectra.findings.claims.outliers import Outliers
from spectra.results.directions.theorem_result import MeasuredAt
from spectra.results.plain import from_plain, read_document, to_plain
from spectra.system.files.writing import write_json

FORMAT = "spectra.claim.papyan2020"
SCHEMA = 1
CLAIM = (
    "The Hessian has a bulk and about as many outliers as there are classes (Sagun et al. 2017), "
    "which the means of gradients by class and candidate class make (Papyan 2020)."
)


@dataclass(frozen=True)
class LossOutliers:
    """The upper end of the spectrum of one loss.

    Attributes:
        label: of the loss.
        n: images.
        loss: mean loss.
        outliers: its largest eigenvalues and where their widest gap is.
        resolved: how many eigenvalues the density's runs resolve beyond all others.
        converged: whether the eigenpairs met their tolerance.
    """

    label: str
    n: int
    loss: float
    outliers: Outliers
    resolved: int
    converged: bool


@dataclass(frozen=True)
class TopVector:
    """One of the largest eigenvectors of the overall Hessian.

    Attributes:
        value: its eigenvalue.
        by_class_means: how much of it lies in the span of the C class means, between 0 and 1.
        by_cross_means: how much lies in the span of the C² means by class and candidate class.
        shares: the part of the eigenvalue that the images of each class give; they add up to 1.
    """

    value: float
    by_class_means: float
    by_cross_means: float
    shares: Mapping[str, float]

    @property
    def strongest(self) -> str:
        """The class whose images give most of it."""
        return max(self.shares, key=lambda label: self.shares[label])


@dataclass(frozen=True)
class OutliersProtocol:
    """What was measured.

    Attributes:
        images: ``plain`` or ``frozen:K``.
        split: ``train`` or ``test``.
        loss: as in ``spectra analyze``.
        images_per_class: limit; None: every image.
        num_classes: C.
        num_probes: of the density.
        num_steps: steps of each of its runs.
        seed: of every draw.
    """

    images: str
    split: str
    loss: str
    images_per_class: int | None
    num_classes: int
    num_probes: int
    num_steps: int
    seed: int


@dataclass(frozen=True)
class ClassOutliersResult:
    """Bulk and outliers of the overall Hessian, and of classes.

    Attributes:
        checkpoint: at which weights.
        protocol: over which images.
        overall: the upper end of the Hessian over all classes.
        between_classes: eigenvalues of the C class means' matrix, falling.
        between: the largest eigenvalues of the C² means' matrix, falling.
        top: the largest eigenvectors of the overall Hessian.
        by_chance: how much of a random vector lies in the span of the C² means: C² / P at most.
        classes: the upper end of the Hessian of each class that was asked for.
    """

    checkpoint: MeasuredAt
    protocol: OutliersProtocol
    overall: LossOutliers
    between_classes: tuple[float, ...]
    between: tuple[float, ...]
    top: tuple[TopVector, ...]
    by_chance: float
    classes: tuple[LossOutliers, ...]

    def spanned(self, k: int) -> tuple[float, float]:
        """Return how much of the first k eigenvectors the C and the C² means span, as means."""
        first = self.top[:k]
        return (
            sum(one.by_class_means for one in first) / len(first),
            sum(one.by_cross_means for one in first) / len(first),
        )

    @property
    def sentence(self) -> str:
        """What the authors say and what is found here."""
        found, classes = self.overall.outliers, self.protocol.num_classes
        after = " and ".join(
            f"{ratio:.3g} after {k}"
            for k in (classes - 1, classes)
            if (ratio := found.ratio_after(k)) is not None
        )
        by_c, by_all = self.spanned(classes)
        said = (
            f"the widest gap is after {found.count} eigenvalues, by a factor of {found.ratio:.3g} "
            f"(the next widest {found.next_ratio:.3g}; {after}), with {classes} classes; of the "
            f"first {min(classes, len(self.top))} eigenvectors the {classes} class means span "
            f"{100 * by_c:.0f} %, the means by class and candidate {100 * by_all:.0f} % (a random "
            f"vector: {100 * self.by_chance:.1g} % at most)"
        )
        if self.classes:
            counts = ", ".join(f"{one.label}: {one.outliers.count}" for one in self.classes)
            said += f"; the Hessian of one class has its widest gap after ({counts})"
        return f"They say: {CLAIM} Here: {said}."


def class_outliers_to_plain(result: ClassOutliersResult) -> dict[str, Any]:
    """Return the content of ``papyan2020.json``, documented in docs/claims.md."""
    return {"format": FORMAT, "schema": SCHEMA, "sentence": result.sentence, **to_plain(result)}


def save_class_outliers(path: str | Path, result: ClassOutliersResult) -> None:
    """Write ``papyan2020.json`` atomically."""
    write_json(Path(path), class_outliers_to_plain(result))


def load_class_outliers(path: str | Path) -> ClassOutliersResult:
    """Read a ``papyan2020.json``.

    Raises:
        InputError: not JSON, another format, a newer schema, or a value that does not fit.
    """
    what = "a papyan2020.json of 'spectra claim papyan2020'"
    plain = read_document(Path(path), what=what, format_name=FORMAT, newest=SCHEMA)
    return from_plain(plain, ClassOutliersResult, origin=str(path))
