"""Tables of more classes than anybody reads: groups, and the classes at either end."""

from dataclasses import astuple, replace

from cli.display.tables import Table
from cli.display.words import number
from spectra import Analysis, LossAnalysis
from spectra.results.groups.sentences import sample_sentences
from spectra.results.groups.summary import (
    ALL,
    Quantiles,
    group_summaries,
    single_classes,
)

# Ours: as many classes as stand on a screen beside the groups.
AT_AN_END = 10
_LAMBDA_MIN = ("λmin 10 %", "λmin 50 %", "λmin 90 %")
_RATIO = ("ratio 10 %", "ratio 50 %", "ratio 90 %")
SEE_ALL = (
    "every class: --format csv, or table.csv in the folder of the result, or the page of "
    "'spectra report', where classes are searched and sorted"
)


def groups_table(analysis: Analysis) -> Table:
    """Return what is said of each group of classes, a line each."""
    groups = group_summaries(analysis)
    rows = [
        [
            group.name,
            f"{group.classes:,}" if group.how == ALL else f"{group.analyzed} of {group.classes:,}",
            _range(group.images),
            *_quantiles(group.lambda_min),
            *_quantiles(group.ratio),
            number(group.mean),
            f"{100 * group.negative / group.analyzed:.0f}",
        ]
        for group in groups
    ]
    return Table(
        f"{analysis.checkpoint.title}: {len(single_classes(analysis.records)):,} classes by group",
        ["group", "classes", "images", *_LAMBDA_MIN, *_RATIO, "mean λmin", "negative %"],
        rows,
        optional=(_RATIO[2], _RATIO[0], "mean λmin", "images"),
        meanings={
            "classes": "in the group, or how many of them were analyzed",
            "images": "of a class, fewest to most",
            _LAMBDA_MIN[0]: "a tenth of the classes lies below, and so on",
            _RATIO[1]: "|λmin/λmax| of the class in the middle",
            "negative %": "of the classes, those with negative curvature (λmin < −τ λmax)",
        },
        words=sample_sentences(groups, analysis.protocol.solver),
    )


def ends_of_classes(analysis: Analysis) -> list[tuple[str, tuple[LossAnalysis, ...]]]:
    """Return the classes of the lowest λmin, and those of the highest, with what they are."""
    ordered = sorted(single_classes(analysis.records), key=lambda r: (r.lambda_min, r.classes))
    return [
        (f"the {AT_AN_END} classes of lowest λmin", tuple(ordered[:AT_AN_END])),
        (f"the {AT_AN_END} classes of highest λmin", tuple(reversed(ordered[-AT_AN_END:]))),
    ]


def without_single_classes(analysis: Analysis) -> Analysis:
    """Return an analysis with the losses of groups and of the whole alone."""
    single = {record.label for record in single_classes(analysis.records)}
    return replace(analysis, records=tuple(r for r in analysis.records if r.label not in single))


def _quantiles(values: Quantiles | None) -> list[str]:
    """Return the cells of a tenth, the median and nine tenths."""
    return ["-"] * 3 if values is None else list(map(number, astuple(values)))


def _range(images: tuple[int, int]) -> str:
    low, high = images
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
