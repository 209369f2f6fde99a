"""What a random sample of classes says of its group, in words."""

from collections.abc import Sequence

from spectra.engines.settings import SolverSettings
from spectra.krylov.quadrature.intervals import Interval
from spectra.results.groups.summary import SAMPLE, SOME, GroupSummary


def sample_sentences(groups: Sequence[GroupSummary], solver: SolverSettings | None) -> list[str]:
    """Return a sentence for each group of which not all classes were analyzed.

    Args:
        groups: of :func:`spectra.results.groups.summary.group_summaries`.
        solver: whose seed drew the classes.
    """
    seed = (solver or SolverSettings()).seed
    return [
        text
        for group in groups
        for text in (_of_sample(group, seed) if group.how == SAMPLE else _of_some(group))
    ]


def _of_sample(group: GroupSummary, seed: int) -> list[str]:
    drawn = f"{group.analyzed} of the {group.classes:,} classes were drawn at random (seed {seed})"
    said = [
        _said("mean λmin", group.mean_lambda_min),
        _said("median |λmin/λmax|", group.median_ratio),
        _said("negative curvature in", group.negative_share, percent=True),
    ]
    of_all = ", ".join(filter(None, said))
    return [f"{group.name}: {drawn}. Of all {group.classes:,}, with 95 % confidence: {of_all}."]


def _of_some(group: GroupSummary) -> list[str]:
    if group.how != SOME:
        return []
    return [
        f"{group.name}: {group.analyzed} of {group.classes:,} classes were analyzed, and not drawn "
        "at random, so they say nothing of the others; --classes sample:20 draws 20 of each group."
    ]


def _said(what: str, interval: Interval | None, *, percent: bool = False) -> str:
    if interval is None:
        return f"{what} not known from so few"
    if percent:
        low, high = 100 * interval.lower, 100 * interval.upper
        return f"{what} {low:.0f} to {high:.0f} % of the classes"
    return f"{what} {interval.lower:.3g} to {interval.upper:.3g}"
