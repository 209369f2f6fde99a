"""All that is said of the losses of an analysis: what, why, and what would change it."""

from collections.abc import Sequence

from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.verdict import Verdict
from spectra.landscape.bending import Bending
from spectra.landscape.stationary_point import StationaryPoint


def explanations(records: Sequence[LossAnalysis]) -> list[str]:
    """Return everything that is said of each class, in lines: what, why, and what would change it.

    Args:
        records: of an analysis; what was not asked of one is left out.
    """
    lines = []
    for record in records:
        verdict, bending, stationary = record.verdict, record.bending, record.stationary
        lines.append(f"{_title(record.label)}, {record.n} images, loss {record.loss:.3g}")
        lines += _explained("curvature", f"{verdict.name}: {verdict.reason}", verdict)
        if verdict.critical_radius is not None:
            lines.append(
                f"    ρ* = 2‖g‖/|λmin| is {verdict.critical_radius:.3g}, r {verdict.radius:.3g}: "
                "if curvature and slope stayed what they are here, bending would overtake the "
                "slope there"
            )
        if bending is not None:
            lines += _explained("bending", bending.sentence, bending)
        if stationary is not None:
            known = stationary.reason in stationary.sentence
            what = stationary.sentence + ("" if known else f" ({stationary.reason})")
            lines += _explained("stationary point", what, stationary)
    return lines


def _explained(topic: str, text: str, finding: Verdict | Bending | StationaryPoint) -> list[str]:
    lines = [f"  {topic}: {text}"]
    if finding.next_step:
        lines.append(f"    what would change it: {finding.next_step}")
    return lines


def _title(label: str) -> str:
    return f"class {label}" if label.isdigit() else label
