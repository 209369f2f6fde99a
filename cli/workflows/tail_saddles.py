"""Redraw the study of docs/tail-saddles.md: ``make study``."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from cli.workflows.protocols import PROTOCOLS, comparison_rows
from figures import plot_density, plot_protocols, plot_theorem, save_figure
from spectra import Analysis, load_analysis
from spectra.files import write_atomically

# Of the table and of the figures.
ORDER = (*PROTOCOLS[:-2], "frozen:all", *PROTOCOLS[-2:])
# Runs by the name of their folders, NAME-EPOCH or NAME-EPOCH-PART, as figures call them.
PLAIN = "ce-drw"
WITH_SAM = {
    PLAIN: "CE+DRW",
    "ce-drw-sam": "CE+DRW+SAM",
    "ce-drw-then-sam": "SAM from the switch on",
}
FOLDER = re.compile(r"(?P<run>.+?)-(?P<epoch>\d{4})(-.+)?")
DOCS = Path(__file__).parents[2] / "docs"
COLUMNS = (
    ("loss", "loss"), ("λmin", "lambda_min"), ("± residual", "residual_min"),
    ("λmax", "lambda_max"), ("ratio", "ratio"), ("‖g‖", "grad_norm"),
    ("mean |α| / mean β", "alpha_over_beta"),
)  # fmt: skip


def stored_results(folder: Path) -> dict[str, dict[int, dict[str, list[Analysis]]]]:
    """Return results by run, epoch and protocol; a protocol's classes lie in several files.

    Args:
        folder: holds folders of ``spectra analyze --compare-protocols``, named NAME-EPOCH[-PART].
    """
    found: dict[str, dict[int, dict[str, list[Analysis]]]] = {}
    for path in sorted(folder.glob("*/*.json")):
        named = FOLDER.fullmatch(path.parent.name)
        if named is None:
            continue
        analysis = load_analysis(path)
        engine = analysis.protocol["solver"]["engine"]
        name = str(analysis.protocol["images"]) + ("/pyhessian" if engine == "pyhessian" else "")
        protocols = found.setdefault(named["run"], {}).setdefault(int(named["epoch"]), {})
        protocols.setdefault(name, []).append(analysis)
    return found


def rows_of(by_protocol: dict[str, list[Analysis]]) -> list[dict[str, Any]]:
    """Return the comparison's rows, classes rising, protocols in their order."""
    rows = [
        row
        for name, analyses in by_protocol.items()
        for analysis in analyses
        for row in comparison_rows({name: analysis})
    ]
    return sorted(rows, key=lambda r: (int(r["class"]), ORDER.index(r["protocol"])))


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
    runs = stored_results(folder)
    results = runs[PLAIN]
    last = max(results)
    rows = {run: rows_of(epochs[max(epochs)]) for run, epochs in runs.items()}
    for run, found in rows.items():
        write_atomically(folder / f"protocols-{run}.md", as_markdown(found).encode())
    note = "ResNet-20, CIFAR-10-LT, seed 0."
    figure = plot_protocols({f"CE+DRW, epoch {last}": _by_protocol(rows[PLAIN])}, caption=note)
    written = save_figure(figure, images / "tail-saddles-protocols", ("png",))
    tail = {
        f"epoch {epoch}": [row for row in rows_of(found) if row["class"] == "8"]
        for epoch, found in sorted(results.items())
    }
    figure = plot_protocols(_shared(tail), caption=f"CE+DRW, class 8. {note}")
    written += save_figure(figure, images / "tail-saddles-epochs", ("png",))
    compared = {title: rows[run] for run, title in WITH_SAM.items()}
    losses = ", ".join(f"{_plain_loss(found, '8'):.2g}" for found in compared.values())
    text = f"Epoch {last}. Loss of class 8, in this order: {losses}. ResNet-20, CIFAR-10-LT."
    figure = plot_protocols(_shared(compared), caption=text)
    written += save_figure(figure, images / "tail-saddles-sam", ("png",))
    recurrences = {
        said: next(r for a in results[last][name] for r in a.records if r.label == "8")
        for said, name in (("β after orthogonalising", "fresh"), ("PyHessian", "fresh/pyhessian"))
    }
    figure = plot_density(recurrences, protocol={"loss": "ce", "images": "fresh", "split": "train"})
    written += save_figure(figure, images / "tail-saddles-density", ("png",))
    theorem = folder / "theorem" / "theorem.json"
    if theorem.exists():
        figure = plot_theorem(json.loads(theorem.read_text(encoding="utf-8")))
        written += save_figure(figure, images / "tail-saddles-theorem", ("png",))
    return written


def _by_protocol(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda r: ORDER.index(r["protocol"]))


def _plain_loss(rows: list[dict[str, Any]], label: str) -> float:
    pair = (label, "plain")
    return float(next(r["loss"] for r in rows if (r["class"], r["protocol"]) == pair))


def _shared(runs: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the classes and protocols that every run has, in the protocols' order."""
    pairs = [{(r["class"], r["protocol"]) for r in rows} for rows in runs.values()]
    both = set.intersection(*pairs)
    return {
        name: _by_protocol([r for r in rows if (r["class"], r["protocol"]) in both])
        for name, rows in runs.items()
    }


if __name__ == "__main__":
    for path in draw_study_of_tail_saddles(DOCS / "study", DOCS / "images"):
        sys.stdout.write(f"{path}\n")
