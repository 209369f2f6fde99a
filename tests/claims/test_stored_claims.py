"""docs/claims.md shows what the stored results hold."""

from pathlib import Path
from statistics import median

import pytest

from spectra.results.claims.best_steps_result import NEAR, load_best_steps
from spectra.results.claims.class_outliers_result import load_class_outliers
from spectra.results.claims.negative_share_result import load_negative_share

ROOT = Path(__file__).parents[2]
STORED = ROOT / "docs/study/claims"
FILES = sorted(STORED.glob("*/*.json"))


def percent(part: float) -> str:
    return f"{100 * part:.2g} %" if part < 0.1 else f"{100 * part:.0f} %"


def rows_of(path: Path) -> list[str]:
    """Return the table rows of a stored file, as the page has them."""
    name, _, claim = path.stem.rpartition("-")
    make = {"alain2019": step_rows, "ghorbani2019": share_rows, "papyan2020": outlier_rows}[claim]
    return ["| " + " | ".join([name, *row]) + " |" for row in make(path)]


def step_rows(path: Path) -> list[list[str]]:
    rows = []
    for loss in load_best_steps(path).losses:
        for sign in (1, -1):
            steps, found = loss.of_sign(sign), loss.correlation(sign)
            lengths = [abs(step.over_model) for step in steps]
            near = sum(1 / NEAR <= length <= NEAR for length in lengths)
            correlation = f"{found.estimate:.2f} ({found.lower:.2f} to {found.upper:.2f})"
            rows.append(
                [loss.label, str(loss.n), f"{loss.loss:.2g}", "λ > 0" if sign > 0 else "λ < 0",
                 f"{near} of {len(steps)}", f"{median(lengths):.2g}", correlation,
                 percent(loss.best_decrease(sign))]
            )  # fmt: skip
    return rows


def share_rows(path: Path) -> list[list[str]]:
    return [
        [str(share.epoch), share.label, f"{share.loss:.2g}", f"{share.ratio:.2g}",
         percent(share.found.share),
         f"{percent(share.found.lower)} to {percent(share.found.upper)}",
         percent(share.found.half_steps)]
        for share in load_negative_share(path).shares
    ]  # fmt: skip


def outlier_rows(path: Path) -> list[list[str]]:
    result = load_class_outliers(path)
    found, classes = result.overall.outliers, result.protocol.num_classes
    by_c, by_all = result.spanned(classes)
    own = ", ".join(f"{one.label}: {one.outliers.count}" for one in result.classes)
    return [
        [f"{result.overall.loss:.2g}", str(found.count), f"{found.ratio:.2f}",
         f"{found.next_ratio:.2f}", f"{found.ratio_after(classes - 1):.2f}",
         f"{found.ratio_after(classes):.2f}", percent(by_c), percent(by_all), own]
    ]  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_stored_claim_is_in_the_page_as_it_is_stored(path):
    page = (ROOT / "docs/claims.md").read_text("utf-8").splitlines()
    assert [row for row in rows_of(path) if row not in page] == []


def test_every_row_of_the_page_is_of_a_stored_claim():
    page = (ROOT / "docs/claims.md").read_text("utf-8").splitlines()
    stored = {row for path in FILES for row in rows_of(path)}
    names = {path.stem.rpartition("-")[0] for path in FILES}
    shown = [line for line in page if line.startswith("| ") and line.split(" | ")[0][2:] in names]
    assert shown
    assert [line for line in shown if line not in stored] == []
