"""Redraw the study of docs/tail-saddles.md: ``make study``."""

import json
import sys
from pathlib import Path
from typing import Any

from cli.workflows.protocols import PROTOCOLS, comparison_rows
from figures import plot_density, plot_protocols, plot_theorem, save_figure
from spectra import Analysis, load_analysis
from spectra.files import write_atomically

DOCS = Path(__file__).parents[2] / "docs"
COLUMNS = (
    ("loss", "loss"), ("λmin", "lambda_min"), ("± residual", "residual_min"),
    ("λmax", "lambda_max"), ("ratio", "ratio"), ("‖g‖", "grad_norm"),
    ("mean |α| / mean β", "alpha_over_beta"),
)  # fmt: skip


def stored_results(folder: Path) -> dict[int, dict[str, list[Analysis]]]:
    """Return the study's results by epoch and protocol; a protocol's classes lie in several files.

    Args:
        folder: holds folders of ``spectra analyze --compare-protocols``.
    """
    found: dict[int, dict[str, list[Analysis]]] = {}
    for path in sorted(folder.glob("*/*.json")):
        if json.loads(path.read_text(encoding="utf-8")).get("format") != "spectra.analysis":
            continue
        analysis = load_analysis(path)
        engine = analysis.protocol["solver"]["engine"]
        name = str(analysis.protocol["images"]) + ("/pyhessian" if engine == "pyhessian" else "")
        epochs = found.setdefault(int(analysis.checkpoint["epoch"]), {})
        epochs.setdefault(name, []).append(analysis)
    return found


def rows_of(by_protocol: dict[str, list[Analysis]]) -> list[dict[str, Any]]:
    """Return the comparison's rows, classes rising, protocols in their order."""
    rows = [
        row
        for name, analyses in by_protocol.items()
        for analysis in analyses
        for row in comparison_rows({name: analysis})
    ]
    return sorted(rows, key=lambda r: (int(r["class"]), PROTOCOLS.index(r["protocol"])))


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table of the document."""
    head = ["class", "images", "n", *(name for name, _ in COLUMNS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = ["–" if row[key] is None else f"{row[key]:.3g}" for _, key in COLUMNS]
        lines.append(
            "| " + " | ".join([row["class"], row["protocol"], str(row["n"]), *cells]) + " |"
        )
    return "\n".join(lines) + "\n"


def draw_study_of_tail_saddles(folder: Path, images: Path) -> list[Path]:
    """Draw every figure of the study from its stored results, and write its tables.

    Args:
        folder: of the stored results.
        images: where figures go.
    """
    results = stored_results(folder)
    last = max(results)
    rows = rows_of(results[last])
    write_atomically(folder / "protocols.md", as_markdown(rows).encode())
    note = "CE+DRW, ResNet-20, CIFAR-10-LT, seed 0."
    drawn = sorted(rows, key=lambda r: PROTOCOLS.index(r["protocol"]))
    figure = plot_protocols({f"epoch {last}": drawn}, caption=note)
    written = save_figure(figure, images / "tail-saddles-protocols", ("png",))
    tail = {
        f"epoch {epoch}": [row for row in rows_of(found) if row["class"] == "8"]
        for epoch, found in sorted(results.items())
    }
    shared = set.intersection(*({row["protocol"] for row in rows} for rows in tail.values()))
    tail = {name: [r for r in rows if r["protocol"] in shared] for name, rows in tail.items()}
    figure = plot_protocols(tail, caption=f"Class 8. {note}")
    written += save_figure(figure, images / "tail-saddles-epochs", ("png",))
    pair = {
        said: next(r for a in results[last][name] for r in a.records if r.label == "8")
        for said, name in (("β after orthogonalising", "fresh"), ("PyHessian", "fresh/pyhessian"))
    }
    figure = plot_density(pair, protocol={"loss": "ce", "images": "fresh", "split": "train"})
    written += save_figure(figure, images / "tail-saddles-density", ("png",))
    theorem = folder / "theorem" / "theorem.json"
    if theorem.exists():
        figure = plot_theorem(json.loads(theorem.read_text(encoding="utf-8")))
        written += save_figure(figure, images / "tail-saddles-theorem", ("png",))
    return written


if __name__ == "__main__":
    for path in draw_study_of_tail_saddles(DOCS / "study", DOCS / "images"):
        sys.stdout.write(f"{path}\n")
