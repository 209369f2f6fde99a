"""The ratio of each loss over training, and what stationary point was near."""

from collections.abc import Sequence

from cli.display.tables import Table
from cli.display.words import number
from spectra import Analysis
from spectra.results.groups.many import are_many
from spectra.results.groups.summary import GroupSummary, group_summaries
from spectra.results.said.short_words import labels_in_words, near_legend, near_word


def trajectory_table(name: str, analyses: Sequence[Analysis], *, max_steps: int) -> Table:
    """Return |λmin/λmax| of each loss, a row for each epoch; of many classes, of their groups.

    Args:
        name: of the run.
        analyses: of its checkpoints, in the order of training.
        max_steps: the limit of the request, which a ratio that has not converged met.
    """
    if are_many(analyses[0].records):
        return _by_group(name, analyses)
    labels = [record.label for record in analyses[0].records]
    rows = [
        [str(a.checkpoint.epoch), *(number(r.ratio) + "*" * r.open_ended for r in a.records)]
        for a in analyses
    ]
    unsettled = dict.fromkeys(r.label for a in analyses for r in a.records if r.open_ended)
    outweighed = dict.fromkeys(
        r.label for a in analyses for r in a.records if r.ratio is not None and r.ratio > 1
    )
    unusual = []
    if unsettled:
        unusual.append(
            f"*, {labels_in_words(unsettled)}: λmin or λmax has not converged in {max_steps} "
            "steps; raise --max-steps"
        )
    if outweighed:
        unusual.append(
            f"{labels_in_words(outweighed)}: a ratio above 1: the strongest negative curvature is "
            "stronger than the strongest positive one."
        )
    split = analyses[0].protocol.split
    return Table(
        f"{name}: |λmin/λmax| of each loss over training{f', {split} images' if split else ''}",
        ["epoch", *labels],
        rows,
        words=["|λmin/λmax|: the lowest eigenvalue over the highest, in size"],
        unusual=unusual,
    )


def _by_group(name: str, analyses: Sequence[Analysis]) -> Table:
    """Return the median |λmin/λmax| of each group, and how many classes bend down, by epoch."""
    found = [{group.name: group for group in group_summaries(a)} for a in analyses]
    names = list(dict.fromkeys(group for groups in found for group in groups))
    rows = [
        [str(a.checkpoint.epoch), *(_median(groups.get(group)) for group in names)]
        for a, groups in zip(analyses, found, strict=True)
    ]
    return Table(
        f"{name}: median |λmin/λmax| of the classes of each group over training",
        ["epoch", *names],
        rows,
        words=[
            "in brackets: per cent of the classes with negative curvature",
            "every class: --format csv, or the page of 'spectra report'",
        ],
    )


def _median(group: GroupSummary | None) -> str:
    if group is None:
        return "-"
    middle = None if group.ratio is None else group.ratio.median
    return f"{number(middle)} ({100 * group.negative / group.analyzed:.0f})"


def stationary_table(name: str, analyses: Sequence[Analysis]) -> Table | None:
    """Return what stationary point was found near each checkpoint; None where none was sought."""
    found = [[record.stationary for record in a.records] for a in analyses]
    names = [point.name for row in found for point in row if point is not None]
    if not names or are_many(analyses[0].records):
        return None
    labels = [record.label for record in analyses[0].records]
    rows = [
        [
            str(a.checkpoint.epoch),
            *("-" if f is None else _where(f.name, f.distance) for f in points),
        ]
        for a, points in zip(analyses, found, strict=True)
    ]
    return Table(
        f"{name}: stationary points near by, and how far away",
        ["epoch", *labels],
        rows,
        words=near_legend(names),
    )


def _where(name: str, distance: float | None) -> str:
    return near_word(name) if distance is None else f"{near_word(name)}, {number(distance)}"
