"""The page of a report: one file that opens from disk, and that nothing else is fetched for."""

import html
import json
import math
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from figures.report.contents import Report
from figures.report.contents_of_rows import ClassRow
from figures.report.gather import gather_report
from spectra import Analysis
from spectra.results.groups.many import MANY, are_many
from spectra.results.plain import to_plain
from spectra.system.files.writing import write_atomically

REPORT_FILE = "report.html"
# Seven digits, which a float32 carries; the result files keep all.
_DIGITS = ".7g"
_MARKERS = re.compile("__REPORT_(TITLE|TABLE|JSON)__")
# What could end the element that holds the JSON, begin a comment in it, or end a line of script.
_ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_COLUMNS = (
    "run", "class", "images of", "epoch", "n", "λmin", "λmax", "|λmin/λmax|", "verdict",
    "what it says",
)  # fmt: skip


def write_report(
    runs: Report | str | Path | Analysis | Sequence[str | Path | Analysis],
    path: str | Path | None = None,
    *,
    title: str | None = None,
) -> Path:
    """Write the page of some results: one file, to be opened from disk or sent.

    What it shows: a table of runs and classes, every density on common axes, trajectories, and
    where they were computed, protocols and images. Equal results give equal bytes.

    Cost: none of products; a second, and about 4 kB of the page for each class and checkpoint.

    Args:
        runs: one or more of: a result of ``spectra analyze``, a folder of results (as
            ``pipeline``, ``trajectory`` and ``analyze`` write), an :class:`spectra.Analysis`; or a
            report that was gathered.
        path: of the page; None: ``report.html`` in the folder of the first.
        title: of the page; None: the runs.

    Returns:
        Where it was written.

    Raises:
        InputError: a result is not there, is damaged, or two cannot share an axis.

    Example:
        >>> import torch, spectra, figures
        >>> data = torch.ones(6, 4), [0, 1, 2, 0, 1, 2]
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
        >>> found = spectra.analyze_classes(model, data, 0, num_steps=3)
        >>> figures.write_report(found, "report.html").name
        'report.html'
    """
    if isinstance(runs, Report):
        place, report = Path(path or REPORT_FILE), runs
    else:
        given = [runs] if isinstance(runs, str | Path | Analysis) else list(runs)
        place = default_path(given) if path is None else Path(path)
        report = gather_report(given, title=title)
    write_atomically(place, report_page(report).encode())
    return place


def default_path(runs: Sequence[str | Path | Analysis]) -> Path:
    """Return where the page goes where nobody says: into the folder of the first run."""
    first = next((Path(run) for run in runs if not isinstance(run, Analysis)), Path())
    return (first if first.is_dir() else first.parent) / REPORT_FILE


def report_page(report: Report) -> str:
    """Return the page as text."""
    page = (files("figures.report") / "page" / "page.html").read_text(encoding="utf-8")
    parts = {
        "TITLE": html.escape(report.title),
        "TABLE": _table(report),
        "JSON": embedded_json(report),
    }
    return _MARKERS.sub(lambda found: parts[found[1]], page)


def embedded_json(report: Report) -> str:
    """Return the report as JSON that no browser takes for anything else, whatever names it holds.

    Numbers have seven digits, and what is no finite number is null.
    """
    plain = _rounded(to_plain(report))
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_ESCAPED)


def _rounded(plain: Any) -> Any:
    if isinstance(plain, float):
        return float(format(plain, _DIGITS)) if math.isfinite(plain) else None
    if isinstance(plain, dict):
        return {key: _rounded(value) for key, value in plain.items()}
    return [_rounded(value) for value in plain] if isinstance(plain, list) else plain


def _table(report: Report) -> str:
    """Return the matrix for browsers without scripts: every loss at its last checkpoint.

    Of many losses it holds those of the lowest λmin.
    """
    last: dict[tuple[int, str | None, str], ClassRow] = {}
    for row in report.rows:
        last[row.run, row.split, row.label] = row
    shown = list(last.values())
    if are_many(last):
        shown = sorted(shown, key=lambda row: row.lambda_min.value)[:MANY]
    texts = {label.name: label.text for label in report.labels}
    lines = [
        (
            report.runs[row.run].text,
            texts[row.label],
            row.split or "–",
            "–" if row.epoch is None else str(row.epoch),
            str(row.n),
            f"{row.lambda_min.sign} {row.lambda_min.value:.3g}".strip(),
            f"{row.lambda_max.sign} {row.lambda_max.value:.3g}".strip(),
            "–" if row.ratio is None else f"{row.ratio:.3g}",
            row.verdict,
            row.sentence,
        )
        for row in shown
    ]
    head = _line(_COLUMNS, "th")
    body = "".join(_line(cells, "td") for cells in lines)
    left_out = f"<p>The {MANY} of lowest λmin, of {len(last)}.</p>" if are_many(last) else ""
    return f"{left_out}<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _line(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"
