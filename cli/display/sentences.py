"""What the numbers of an analysis say, class by class, and what would change it."""

from collections.abc import Sequence

from cli.display.lines import say
from spectra import LossAnalysis
from spectra.findings.verdict import NOT_THE_HESSIAN, Verdict
from spectra.landscape.bending import Bending
from spectra.landscape.stationary_point import StationaryPoint


def print_sentences(records: Sequence[LossAnalysis]) -> None:
    """Print a line for each class; classes of which the same is said share one.

    Nothing is printed of the Gauss-Newton matrix, which says nothing of the curvature of the loss.
    """
    said: dict[str, list[str]] = {}
    for record in records:
        if record.verdict.name != NOT_THE_HESSIAN:
            said.setdefault(_line(record), []).append(record.label)
    if not said:
        return
    say("what this says; --explain says why:")
    for text, labels in said.items():
        say(f"  {', '.join(labels)}: {text}")


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


def _line(record: LossAnalysis) -> str:
    """Return verdict, sentences and the next step of what is least settled."""
    asked = f"What would change it: {record.next_step}" if record.next_step else ""
    return " ".join(filter(None, (f"{record.verdict.name}.", record.sentence, asked)))


def _explained(topic: str, text: str, finding: Verdict | Bending | StationaryPoint) -> list[str]:
    lines = [f"  {topic}: {text}"]
    if finding.next_step:
        lines.append(f"    what would change it: {finding.next_step}")
    return lines


def _title(label: str) -> str:
    return f"class {label}" if label.isdigit() else label
