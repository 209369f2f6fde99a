"""What an analysis found: the table of its classes and what it holds under."""

from collections.abc import Sequence

from checkpoints.choices import OBJECTIVE
from cli.display.lines import say
from cli.display.tables import print_table
from cli.display.words import counted, number, percent, with_error, with_residual
from spectra import Analysis, LossAnalysis, SolverSettings
from spectra.findings.counted_eigenpairs import CountedEigenvalue
from spectra.results.provenance import GAUSS_NEWTON


def print_analysis(analysis: Analysis) -> None:
    """Print the per-class table, with the protocol that it holds under."""
    protocol, checkpoint = analysis.protocol, analysis.checkpoint
    settings = protocol.solver or SolverSettings()
    marks = {r.label: _marks(r, settings) for r in analysis.records}
    rows = []
    for record in analysis.records:
        below, above = marks[record.label]
        row = [
            record.label,
            str(record.n),
            percent(record.accuracy),
            number(record.loss),
            below + with_residual(record.lambda_min, record.residual_min),
            above + with_residual(record.lambda_max, record.residual_max),
            number(record.ratio),
            number(record.grad_norm),
            number(record.grad_along_vmin),
            record.verdict.name,
        ]
        rows.append(row)
    epoch = "" if checkpoint.epoch is None else f" epoch {checkpoint.epoch}"
    columns = ["class", "n", "accuracy", "loss", "λmin", "λmax", "|λmin/λmax|", "‖g‖",
               "|g·vmin|/‖g‖", "verdict"]  # fmt: skip
    matrix = "Hessian"
    if protocol.matrix == GAUSS_NEWTON:  # which sees no negative curvature
        matrix, kept = "Gauss-Newton matrix", [0, 1, 2, 3, 4, 5, 7]
        columns, rows = [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]
    whose = "the training objective" if protocol.loss == OBJECTIVE else "each class's loss"
    print_table(
        f"{checkpoint.name}{epoch}: {matrix} of {whose}",
        columns,
        rows,
        optional=[name for name in ("|g·vmin|/‖g‖", "loss", "accuracy", "n") if name in columns],
    )
    recorded = f", {protocol.accuracy}" if protocol.accuracy else ""
    say(
        f"loss {protocol.loss}{_decay(protocol.weight_decay)}, reduction {protocol.reduction}"
        f"{_by(protocol.parameters)}, {protocol.split} images ({protocol.images}), "
        f"{protocol.dtype}, engine {settings.engine}, "
        f"{counted(settings.num_probes, 'probe')} x {counted(settings.num_steps, 'step')}, "
        f"seed {settings.seed}, r {protocol.radius}, τ {protocol.tau}; in brackets the "
        f"residual ‖Hv − λv‖, no error bar; accuracy on test images{recorded}"
    )
    marked = [label for label, ends in marks.items() if any(ends)]
    if marked:
        say(
            f"≤ and ≥: not converged in {settings.max_steps} steps, so λmin may be lower, λmax "
            f"higher (class {', '.join(marked)}); raise --max-steps"
        )
    say(_grounds(analysis))
    for record in analysis.records:
        if massless := record.massless_ends:
            say(f"density of class {record.label}: {massless}")
        if record.top is not None:
            _print_top(record)
        if record.layers:
            _print_layers(record)


def _print_top(record: LossAnalysis) -> None:
    """Print the eigenvalues at both ends, one of each a line."""
    assert record.top is not None
    ends = zip(record.top.lowest, record.top.highest, strict=True)
    print_table(
        f"class {record.label}: eigenvalues from either end, copies counted",
        ["rank", "lowest", "highest"],
        [
            [str(rank), *(_marked(value, sign) for value, sign in zip(pair, "≤≥", strict=True))]
            for rank, pair in enumerate(ends, 1)
        ],
    )


def _print_layers(record: LossAnalysis) -> None:
    """Print the extremes and the trace of every layer's block."""
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
    print_table(
        f"class {record.label}: blocks of the layers; ± of a trace is its standard error",
        ["layer", "parameters", "λmin", "λmax", "trace"],
        rows,
    )


def _marked(value: CountedEigenvalue, sign: str) -> str:
    """Return value and residual, ``sign`` before one that has not converged."""
    return ("" if value.converged else sign) + with_residual(value.value, value.residual)


def _decay(weight_decay: float | None) -> str:
    return "" if weight_decay is None else f", weight decay {weight_decay:g}"


def _by(parameters: Sequence[str]) -> str:
    return f", by parameters {' '.join(parameters)} alone" if parameters else ""


def _grounds(analysis: Analysis) -> str:
    """Say in a line how the extremes were found."""
    records = analysis.records
    ways = ", ".join(sorted({r.products for r in records if r.products})) or "unrecorded"
    proven = sum(bool(r.certificates and r.certificates[0].proven) for r in records)
    bounded = sum(bool(r.certificates and r.certificates[0].beyond is not None) for r in records)
    active = sum((r.active_images or r.n) < r.n for r in records)
    cost = sum(r.image_products or 0.0 for r in records) / max(1, sum(r.n for r in records))
    return (
        f"products by {ways}, {cost:.1f} passes over the images; λmin and λmax from a float64 pass "
        f"in {proven} of {len(records)}, Lanczos on active images in {active}, λmin bounded from "
        f"below (95 %) in {bounded}; --certificates says it class by class"
    )


def _marks(record: LossAnalysis, settings: SolverSettings) -> tuple[str, str]:
    """Return ≤ for a λmin, ≥ for a λmax beyond which an eigenvalue may have been missed."""
    low, high = record.unsettled_ends(settings.tolerance)
    return "≤" * low, "≥" * high
