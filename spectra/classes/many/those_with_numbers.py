"""What is there of several losses when one of them has no numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from spectra.errors import NonFiniteError
from spectra.findings.loss_analysis import LossAnalysis


def those_with_numbers(
    found: Iterable[LossAnalysis], labels: Sequence[str]
) -> tuple[tuple[LossAnalysis, ...], NonFiniteError | None]:
    """Return results without their vectors, and what ended them early; None: they are all there.

    Args:
        found: results as they come, each with the vectors of its ends.
        labels: of all losses, in the order that results are to have.
    """
    records: dict[str, LossAnalysis] = {}
    failed = None
    try:
        for record in found:
            records[record.label] = replace(record, extremes=None)  # its vectors are not to stay
    except NonFiniteError as error:
        failed = error
    return tuple(records[label] for label in labels if label in records), failed
