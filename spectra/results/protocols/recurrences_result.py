"""The published recurrence over some losses, step by step, and its file ``recurrences.json``."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from spectra.engines.published_recurrence import BEFORE, VARIANTS, PublishedRecurrence
from spectra.results.directions.theorem_result import MeasuredAt
from spectra.results.plain import from_plain, read_document, to_plain
from spectra.system.files.writing import write_json

FORMAT = "spectra.recurrences"
SCHEMA = 1
# After which the ends are given, and after the last step.
STEPS = (10, 20, 40, 80, 100)


@dataclass(frozen=True)
class VariantEnds:
    """The extreme Ritz values of one variant of T.

    Attributes:
        variant: one of :data:`spectra.engines.published_recurrence.VARIANTS`.
        steps: after which.
        lambda_min: smallest Ritz value, loss / parameter².
        lambda_max: largest.
        ratio: |λmin / λmax|; None where λmax is 0.
    """

    variant: str
    steps: int
    lambda_min: float
    lambda_max: float
    ratio: float | None


@dataclass(frozen=True)
class RecurrenceRun:
    """One run, raw.

    Attributes:
        label: of the loss.
        seed: of the draws and of the start.
        arithmetic: a key of :data:`spectra.engines.published_recurrence.ARITHMETICS`.
        n: images.
        size: P.
        loss: mean loss, where images are drawn anew over the first draw.
        alphas, betas_before, betas_after, returned: see :class:`PublishedRecurrence`.
    """

    label: str
    seed: int
    arithmetic: str
    n: int
    size: int
    loss: float
    alphas: tuple[float, ...]
    betas_before: tuple[float, ...]
    betas_after: tuple[float, ...]
    returned: tuple[float, ...]

    @property
    def recurrence(self) -> PublishedRecurrence:
        """The run, of which T is made."""
        return PublishedRecurrence(
            np.array(self.alphas),
            np.array(self.betas_before),
            np.array(self.betas_after),
            np.array(self.returned),
        )

    @property
    def returned_share(self) -> float:
        """The median part of β² that came back along the vector before."""
        return median(self.recurrence.returned_shares) if len(self.alphas) > 1 else 0.0

    def ends(self, variant: str = BEFORE, steps: int | None = None) -> VariantEnds:
        """Return the ends of one variant after some steps; None: all.

        Raises:
            InputError: there is no such variant.
        """
        t = self.recurrence.tridiagonal(variant, steps)
        low, high = float(t.ritz_values()[0]), float(t.ritz_values()[-1])
        return VariantEnds(variant, len(t), low, high, abs(low / high) if high else None)

    @property
    def all_ends(self) -> tuple[VariantEnds, ...]:
        """The ends of every variant after each of :data:`STEPS`, and after the last step."""
        steps = sorted({s for s in STEPS if s < len(self.alphas)} | {len(self.alphas)})
        return tuple(self.ends(variant, s) for variant in VARIANTS for s in steps)


@dataclass(frozen=True)
class ExactEnds:
    """The ends of one loss's Hessian over images that stay, by SciPy in float64.

    Attributes:
        label: of the loss.
        seed: of the draws of frozen images; of no consequence for plain ones.
        lambda_min: smallest eigenvalue, loss / parameter².
        lambda_max: largest.
        ratio: |λmin / λmax|; None where λmax is 0.
    """

    label: str
    seed: int
    lambda_min: float
    lambda_max: float
    ratio: float | None


@dataclass(frozen=True)
class RecurrencesProtocol:
    """What was run.

    Attributes:
        images: ``fresh``, ``plain`` or ``frozen:K``.
        split: ``train`` or ``test``.
        loss: as in ``spectra analyze``.
        images_per_class: limit; None: every image.
        products: whose: ``spectra`` or ``pyhessian``.
        dtype: of the products.
        num_steps: of each run.
    """

    images: str
    split: str
    loss: str
    images_per_class: int | None
    products: str
    dtype: str
    num_steps: int


@dataclass(frozen=True)
class RecurrencesResult:
    """The published recurrence over losses of one checkpoint.

    Attributes:
        checkpoint: at which weights.
        protocol: over which images.
        runs: one for each loss, seed and arithmetic.
        exact: what the matrix has, where that was asked for.
    """

    checkpoint: MeasuredAt
    protocol: RecurrencesProtocol
    runs: tuple[RecurrenceRun, ...]
    exact: tuple[ExactEnds, ...] = ()


def recurrences_to_plain(result: RecurrencesResult) -> dict[str, Any]:
    """Return the content of ``recurrences.json``, documented in docs/file-formats.md."""
    plain = to_plain(result)
    for run, written in zip(result.runs, plain["runs"], strict=True):
        written |= {"returned_share": run.returned_share, "ends": to_plain(run.all_ends)}
    return {"format": FORMAT, "schema": SCHEMA, **plain}


def save_recurrences(path: str | Path, result: RecurrencesResult) -> None:
    """Write ``recurrences.json`` atomically."""
    write_json(Path(path), recurrences_to_plain(result))


def load_recurrences(path: str | Path) -> RecurrencesResult:
    """Read a ``recurrences.json``.

    Raises:
        InputError: not JSON, another format, a newer schema, or a value that does not fit.
    """
    plain = read_document(
        Path(path),
        what="a recurrences.json of 'spectra recurrences'",
        format_name=FORMAT,
        newest=SCHEMA,
    )
    return from_plain(plain, RecurrencesResult, origin=str(path))
