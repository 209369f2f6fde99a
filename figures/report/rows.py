"""The rows of a report: one for each loss at each checkpoint."""

from collections.abc import Sequence
from dataclasses import replace

from figures.report.contents_of_rows import ClassRow, Extreme
from figures.report.densities import density_nodes
from figures.report.found_results import FoundAnalysis
from spectra import LossAnalysis, SolverSettings
from spectra.findings.certificates import Certificate
from spectra.results.said.unusual import unusual_of

# Ours: of more rows their certificates' statements are half of the page, 0.8 kB each; the bounds
# stay, and certificates.txt beside the result has the statements.
GROUNDS_UP_TO = 2000
_ENDS = ("lambda_min", "lambda_max")
# What a row is of: run, epoch, split, label.
RowKey = tuple[int, int | None, str | None, str]


def class_rows(found: Sequence[FoundAnalysis], runs: Sequence[int]) -> tuple[ClassRow, ...]:
    """Return the rows, by run, epoch, split and label.

    Args:
        found: every analysis, in the order of :attr:`figures.report.contents.Report.sources`.
        runs: to which run each belongs.
    """
    chosen: dict[RowKey, tuple[int, LossAnalysis]] = {}
    left_out: dict[RowKey, list[str]] = {}
    for source, (one, run) in enumerate(zip(found, runs, strict=True)):
        analysis = one.analysis
        for record in analysis.records:
            key = (run, analysis.checkpoint.epoch, analysis.protocol.split, record.label)
            before = chosen.get(key)
            if before is None or (before[1].spectrum is None and record.spectrum is not None):
                chosen[key] = (source, record)
            elif (before[1].spectrum is None) == (record.spectrum is None):
                left_out.setdefault(key, []).append(one.file or "another in memory")
    fits = {
        (run, epoch, label): record.fit_accuracy
        for (run, epoch, split, label), (_, record) in chosen.items()
        if split == "train"
    }
    with_grounds = len(chosen) <= GROUNDS_UP_TO
    rows = []
    for key, (source, record) in sorted(chosen.items(), key=_place):
        row = _row(key, source, record, found[source], fits.get((key[0], key[1], key[3])))
        if not with_grounds:
            row = replace(row, **{name: replace(getattr(row, name), grounds=()) for name in _ENDS})
        others = tuple(
            f"Not shown: a second result of this loss, {o}." for o in left_out.get(key, ())
        )
        rows.append(replace(row, unusual=row.unusual + others))
    return tuple(rows)


def _place(one: tuple[RowKey, tuple[int, LossAnalysis]]) -> tuple[int, int, int]:
    """Return what rows are sorted by; of one run, epoch and split they stay as they came."""
    run, epoch, split, _ = one[0]
    return run, -1 if epoch is None else epoch, int(split == "test")


def _row(
    key: RowKey,
    source: int,
    record: LossAnalysis,
    found: FoundAnalysis,
    fit: float | None,
) -> ClassRow:
    run, epoch, split, label = key
    verdict, bending, near = record.verdict, record.bending, record.stationary
    low, high = record.certificates or (None, None)
    settings = found.analysis.protocol.solver or SolverSettings()
    below, above = record.unsettled_ends(settings.tolerance)
    lowered = None if bending is None else bending.lowered_with
    share = None if bending is None else bending.share
    on_test = record.fit_accuracy if split == "test" else record.accuracy
    return ClassRow(
        run=run,
        source=source,
        epoch=epoch,
        split=split,
        label=label,
        n=record.n,
        loss=record.loss,
        accuracy_train=record.fit_accuracy if split != "test" else fit,
        accuracy_test=on_test,
        lambda_min=_extreme(record.lambda_min, record.residual_min, "≤" * below, low),
        lambda_max=_extreme(record.lambda_max, record.residual_max, "≥" * above, high),
        ratio=record.ratio,
        grad_norm=record.grad_norm,
        grad_along_vmin=record.grad_along_vmin,
        critical_radius=verdict.critical_radius,
        radius=verdict.radius,
        lowered=lowered,
        bending_share=share,
        lowered_by_bending=None if lowered is None or share is None else lowered * share,
        verdict=verdict.name,
        reason=verdict.reason,
        sentence=record.sentence or f"{verdict.reason}.",
        next_step=record.next_step,
        stationary=None if near is None else near.name,
        stationary_distance=None if near is None else near.distance,
        unusual=tuple(_unusual(record, found)),
        density=density_nodes(record),
    )


def _extreme(
    value: float, residual: float | None, sign: str, certificate: Certificate | None
) -> Extreme:
    if certificate is None:
        return Extreme(value, residual, sign, None, None, None, False, ())
    return Extreme(
        value=value,
        residual=residual,
        sign=sign,
        attained=certificate.attained,
        beyond=certificate.beyond,
        probability=certificate.confidence or None,
        proven=certificate.proven,
        grounds=certificate.statements(),
    )


def _unusual(record: LossAnalysis, found: FoundAnalysis) -> list[str]:
    """Return what to know before trusting a row, a sentence each."""
    protocol = found.analysis.protocol
    said = unusual_of(record, protocol)
    if massless := record.massless_ends:
        said.append(f"of the density, {massless}.")
    if record.density is not None:
        said.append(
            f"the density is of {record.density.images} of {record.n} images, and within "
            f"{record.density.distance:.2g} of that of all."
        )
    if protocol.accuracy and record.accuracy is not None:
        said.append(f"the test accuracy is {protocol.accuracy} in the checkpoint's file.")
    return [text[0].upper() + text[1:] if text[0].isascii() else text for text in said]
