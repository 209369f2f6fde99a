"""What an analysis found: the table of its classes, what it holds under, and what it says."""

import re
from collections.abc import Sequence
from dataclasses import replace

from checkpoints.choices import OBJECTIVE
from cli.display.found.many_classes import (
    SEE_ALL,
    ends_of_classes,
    groups_table,
    without_single_classes,
)
from cli.display.lines import say, tell
from cli.display.tables import Table, print_table
from cli.display.words import counted, number, percent, whole_percent, with_error, with_residual
from spectra import Analysis, LossAnalysis, SolverSettings
from spectra.findings.counted_eigenpairs import CountedEigenvalue
from spectra.findings.verdict import NOT_THE_HESSIAN
from spectra.results.groups.many import are_many
from spectra.results.provenance import GAUSS_NEWTON
from spectra.results.said.short_words import (
    labels_in_words,
    near_legend,
    near_word,
    verdict_legend,
    verdict_word,
)
from spectra.results.said.unusual import unusual

# Left out where a terminal is too narrow, the first one first.
_OPTIONAL = ("residual", "ρ*", "along v_min", "‖g‖", "loss", "n", "test %", "near by")
# Numbers of sentences in which classes differ: percentages, and tolerances that would decide.
_DIFFERS = re.compile(r"(?:(?<=τ over )|(?<=τ under ))[\d.e-]+|[\d.]+(?= %)")
# Left out where no loss has such a number.
_MAY_BE_EMPTY = ("test %", "ratio", "lowered %", "bending %", "ρ*", "along v_min", "near by")


def print_analysis(analysis: Analysis) -> None:
    """Print the tables of the classes, and under what choices they hold."""
    for table in analysis_tables(analysis):
        print_table(table)
    say("", "how it was computed:")
    tell(*protocol_lines(analysis))
    for record in analysis.records:
        if record.top is not None:
            print_table(_top_table(record))
        if record.layers:
            print_table(_layers_table(record))


def analysis_tables(analysis: Analysis) -> list[Table]:
    """Return the table of the classes; of many, their groups and the classes at either end.

    Where classes were drawn at random, the last table says what they tell of their groups.
    """
    if not are_many(analysis.records):
        sampled = any(group.drawn for group in analysis.protocol.class_groups)
        return [analysis_table(analysis), *[groups_table(analysis)] * sampled]
    groups = groups_table(analysis)
    tables = [replace(groups, unusual=unusual(analysis))]
    of_groups = without_single_classes(analysis)
    for title, records in (("losses of groups", of_groups.records), *ends_of_classes(analysis)):
        if records:
            table = analysis_table(replace(analysis, records=tuple(records)))
            tables.append(replace(table, title=title, unusual=(), meanings={}))
    return [*tables[:-1], replace(tables[-1], words=[*tables[-1].words, SEE_ALL])]


def analysis_table(analysis: Analysis) -> Table:
    """Return the table of an analysis's classes, with its legend and what is unusual in it."""
    protocol, records = analysis.protocol, analysis.records
    settings = protocol.solver or SolverSettings()
    right = f"{protocol.split} %" if protocol.split in ("train", "test") else "right %"
    both = right != "test %"
    columns = ["class", "n", right, *["test %"] * both, "loss", "λmin", "residual", "λmax",
               "residual", "ratio", "‖g‖", "along v_min", "ρ*", "lowered %", "bending %",
               "near by", "verdict"]  # fmt: skip
    rows = [_cells(record, settings, both=both) for record in records]
    gauss_newton = protocol.matrix == GAUSS_NEWTON
    if gauss_newton:  # which sees no negative curvature
        kept = [k for k, name in enumerate(columns) if name not in ("along v_min", "ρ*", "verdict")]
        columns, rows = [columns[k] for k in kept], [[row[k] for k in kept] for row in rows]
    matrix = "Gauss-Newton matrix" if gauss_newton else "Hessian"
    whose = "the training objective" if protocol.loss == OBJECTIVE else "each class's loss"
    images = f", {protocol.split} images" if protocol.split else ""
    near = [record.stationary.name for record in records if record.stationary is not None]
    return Table(
        f"{analysis.checkpoint.title}: {matrix} of {whose}{images}",
        columns,
        rows,
        optional=_OPTIONAL,
        meanings=_meanings(analysis, right),
        words=[
            *([] if gauss_newton else verdict_legend(record.verdict.name for record in records)),
            *near_legend(near),
        ],
        unusual=unusual(analysis),
    ).without_empty(*_MAY_BE_EMPTY)


def print_sentences(records: Sequence[LossAnalysis]) -> None:
    """Print what is found of each loss, and what would change it; losses that share it, once.

    Nothing is printed of the Gauss-Newton matrix, which says nothing of the curvature of the loss.
    """
    records = [record for record in records if record.verdict.name != NOT_THE_HESSIAN]
    if not records:
        return
    say("", "what this says; --explain says why:")
    _tell_shared([(r.label, f"{r.verdict.name}. {r.sentence}".rstrip()) for r in records])
    if steps := [(r.label, r.next_step) for r in records if r.next_step]:
        say("what would change these findings:")
        _tell_shared(steps)


def _tell_shared(pairs: Sequence[tuple[str, str]]) -> None:
    """Print a line for each text, with the losses that it is said of.

    Texts that differ in a percentage or a tolerance alone share one, which names their range.
    """
    said: dict[tuple[str, ...], list[tuple[str, list[str]]]] = {}
    for label, text in pairs:
        around = tuple(_DIFFERS.split(text))
        said.setdefault(around, []).append((label, _DIFFERS.findall(text)))
    for around, those in said.items():
        numbers = [_range(values) for values in zip(*(found for _, found in those), strict=True)]
        text = "".join(map("".join, zip(around, [*numbers, ""], strict=True)))
        tell(f"{labels_in_words(label for label, _ in those)}: {text}")


def _range(values: Sequence[str]) -> str:
    """Return ``66 to 81`` of numbers as text, or the one that they all are."""
    low, high = min(values, key=float), max(values, key=float)
    return low if low == high else f"{low} to {high}"


def _cells(record: LossAnalysis, settings: SolverSettings, *, both: bool) -> list[str]:
    """Return the cells of one loss; ``both``: those of test accuracy beside the images' own."""
    low, high = record.unsettled_ends(settings.tolerance)
    bending = record.bending
    return [
        record.label,
        str(record.n),
        _accuracy(record.fit_accuracy),
        *[_accuracy(record.accuracy)] * both,
        number(record.loss),
        "≤" * low + number(record.lambda_min),
        number(record.residual_min, 1),
        "≥" * high + number(record.lambda_max),
        number(record.residual_max, 1),
        number(record.ratio),
        number(record.grad_norm),
        number(record.grad_along_vmin),
        number(record.verdict.critical_radius),
        "-" if bending is None else whole_percent(bending.lowered_with),
        "-" if bending is None else whole_percent(bending.share),
        "-" if record.stationary is None else near_word(record.stationary.name),
        verdict_word(record.verdict.name),
    ]


def _accuracy(value: float | None) -> str:
    return percent(value).removesuffix(" %")


def _meanings(analysis: Analysis, right: str) -> dict[str, str]:
    """Return what the columns mean."""
    radius = next((r.bending.radius for r in analysis.records if r.bending is not None), 0.0)
    of = f", {analysis.protocol.accuracy}" if analysis.protocol.accuracy else ""
    return {
        "n": "images that are analyzed",
        right: "of these, those that the network gets right",
        **({} if right == "test %" else {"test %": f"the same of the class's test images{of}"}),
        "λmin": "lowest eigenvalue",
        "λmax": "highest",
        "residual": "‖Hv − λv‖ of the value before it, no error bar",
        "ratio": "|λmin/λmax|",
        "‖g‖": "length of the gradient",
        "along v_min": "|⟨g, v_min⟩|/‖g‖, its part along the lowest eigenvector",
        "ρ*": "2‖g‖/|λmin|, where negative curvature would overtake the slope",
        "lowered %": f"of the loss, what a step of length {radius:g} takes off",
        "bending %": "of that decrease, what negative curvature brings",
        "near by": "the stationary point that a search has found",
    }


def protocol_lines(analysis: Analysis) -> list[str]:
    """Return under what choices an analysis holds, and on what grounds its extremes stand."""
    protocol, records = analysis.protocol, analysis.records
    settings = protocol.solver or SolverSettings()
    decay = "" if protocol.weight_decay is None else f", weight decay {protocol.weight_decay:g}"
    ways = ", ".join(sorted({r.products for r in records if r.products})) or "unrecorded"
    proven = sum(bool(r.certificates and r.certificates[0].proven) for r in records)
    bounded = sum(bool(r.certificates and r.certificates[0].beyond is not None) for r in records)
    active = sum((r.active_images or r.n) < r.n for r in records)
    cost = sum(r.image_products or 0.0 for r in records) / max(1, sum(r.n for r in records))
    return [
        f"loss {protocol.loss}{decay}, reduction {protocol.reduction}, images {protocol.images}, "
        f"{protocol.dtype}, engine {settings.engine}, {counted(settings.num_probes, 'probe')} x "
        f"{counted(settings.num_steps, 'step')}, seed {settings.seed}, r {protocol.radius}, "
        f"τ {protocol.tau}",
        f"products by {ways}, {cost:.1f} passes over the images; of {len(records)}: {proven} "
        f"checked in a float64 pass, {active} found on the images of most curvature, {bounded} "
        "with λmin bounded from below (95 %); --certificates says it class by class",
    ]


def _top_table(record: LossAnalysis) -> Table:
    """Return the eigenvalues at both ends, one of each a line."""
    assert record.top is not None
    ends = zip(record.top.lowest, record.top.highest, strict=True)
    rows = [
        [str(rank), *(_marked(value, sign) for value, sign in zip(pair, "≤≥", strict=True))]
        for rank, pair in enumerate(ends, 1)
    ]
    return Table(
        f"class {record.label}: eigenvalues from either end, copies counted; residual in brackets",
        ["rank", "lowest", "highest"],
        rows,
    )


def _layers_table(record: LossAnalysis) -> Table:
    """Return the extremes and the trace of every layer's block."""
    rows = []
    for layer in record.layers:
        below, above = ("", "") if layer.converged else ("≤", "≥")
        row = [
            layer.name,
            f"{layer.size:,}",
            below + with_residual(layer.lambda_min, layer.residual_min),
            above + with_residual(layer.lambda_max, layer.residual_max),
            with_error(layer.trace, layer.trace_error),
        ]
        rows.append(row)
    return Table(
        f"class {record.label}: blocks of the layers",
        ["layer", "parameters", "λmin", "λmax", "trace"],
        rows,
        meanings={"λmin": "with its residual in brackets", "trace": "± its standard error"},
    )


def _marked(value: CountedEigenvalue, sign: str) -> str:
    """Return value and residual, ``sign`` before one that has not converged."""
    return ("" if value.converged else sign) + with_residual(value.value, value.residual)
