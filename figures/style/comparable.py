"""What may share an axis, and the words that say what an axis shows."""

from collections.abc import Iterable, Sequence
from typing import Any

from figures.style.names import class_number, drawn_name
from spectra import Analysis, InputError, LossAnalysis, Spectrum
from spectra.results.groups.by_size import HEAD_MID_TAIL, MANY_MEDIUM_FEW
from spectra.results.provenance import HESSIAN, AnalysisProtocol

# Two results that differ in one of these are eigenvalues of different functions.
SHARED = ("loss", "weight_decay", "reduction", "images", "matrix", "parameters")


def require_comparable(analyses: Iterable[tuple[str, Analysis]]) -> None:
    """Refuse results of different losses.

    Args:
        analyses: (name, analysis); the name is for the error.

    Raises:
        InputError: two of them differ in loss, reduction, images, matrix or parameters.
    """
    first: tuple[str, Analysis] | None = None
    for name, analysis in analyses:
        if first is None:
            first = (name, analysis)
        for key in SHARED:
            ours, theirs = (getattr(a.protocol, key) for a in (first[1], analysis))
            if ours != theirs:
                raise InputError(
                    f"{key} {_said(ours)} and {_said(theirs)} cannot share an axis: "
                    f"{_origin(*first)} has the one, {_origin(name, analysis)} the other; "
                    "analyze both alike or draw two figures"
                )


def infer_groups(
    analyses: Iterable[Analysis], wanted: Sequence[str] = (*HEAD_MID_TAIL, *MANY_MEDIUM_FEW)
) -> dict[str, tuple[int, ...]]:
    """Return the classes of those ``wanted`` groups that were analyzed as a whole."""
    groups: dict[str, tuple[int, ...]] = {}
    for analysis in analyses:
        for record in analysis.records:
            if record.label in wanted:
                groups.setdefault(record.label, record.classes)
    return {name: groups[name] for name in wanted if name in groups}


def find_records(analysis: Analysis, labels: Sequence[str]) -> list[LossAnalysis]:
    """Return the records of ``labels``; InputError names what is there if one is not."""
    known = {record.label: record for record in analysis.records}
    for label in labels:
        if label not in known:
            raise InputError(
                f"{analysis.checkpoint.name} holds no analysis of "
                f"{label!r}; it holds {', '.join(known)}"
            )
    return [known[label] for label in labels]


def label_text(label: str) -> str:
    """Return ``class 8`` for ``8``; groups keep their name."""
    return f"class {label}" if class_number(label) or label == "0" else drawn_name(label)


def protocol_text(protocol: AnalysisProtocol) -> str:
    """Say in a few words which function was differentiated; empty if the protocol is silent."""
    parts = []
    if protocol.loss is not None:
        parts.append(f"loss {protocol.loss}")
    if protocol.weight_decay is not None:
        parts.append(f"weight decay {protocol.weight_decay:g}")
    if protocol.reduction is not None:
        parts.append(f"reduction {protocol.reduction}")
    images = " ".join(said for said in (protocol.images, protocol.split) if said is not None)
    if images:
        parts.append(f"{images} images")
    if protocol.matrix != HESSIAN:
        parts.append(f"matrix {protocol.matrix}")
    if protocol.parameters:
        parts.append(f"by {' '.join(protocol.parameters)} alone")
    if protocol.images == "fresh":
        parts.append("no fixed matrix")
    return ", ".join(parts)


def computed_text(analyses: Sequence[Analysis]) -> str:
    """Say in one line what the results are of: :func:`protocol_text`, and the epoch if it is one.

    Args:
        analyses: of one protocol, one at least.
    """
    epochs = {a.checkpoint.epoch for a in analyses}
    epoch = epochs.pop() if len(epochs) == 1 else None
    parts = [protocol_text(analyses[0].protocol), "" if epoch is None else f"epoch {epoch}"]
    text = ", ".join(part for part in parts if part)
    return text[:1].upper() + text[1:]


_PROBES = {"rademacher": "Rademacher", "normal": "Gaussian"}


def solver_text(spectra: Sequence[Spectrum]) -> str:
    """Say what the densities cost: probes x steps, and P."""
    probes = _listed(len(s.probes) for s in spectra)
    steps = _listed(max(len(t) for t in s.probes) for s in spectra)
    kinds = " or ".join(sorted({_PROBES.get(s.probe, s.probe) for s in spectra}))
    plural = "" if probes == "1" else "s"
    sizes = _listed(s.size for s in spectra)
    return f"{probes} {kinds} probe{plural} × {steps} Lanczos steps; P\u00a0=\u00a0{sizes}"


def number(value: float | None, digits: int = 3) -> str:
    """Return ``value`` with a true minus sign, ``4e5`` for 4e+05; a dash for None."""
    if value is None:
        return "–"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return (f"{mantissa}e{int(exponent)}" if exponent else mantissa).replace("-", "−")


def _listed(values: Iterable[int]) -> str:
    distinct = sorted(set(values))
    if len(distinct) > 2:
        return f"{distinct[0]:,}–{distinct[-1]:,}"
    return " or ".join(f"{v:,}" for v in distinct)


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(value) or "all"
    return "unstated" if value is None else repr(value)


def _origin(name: str, analysis: Analysis) -> str:
    checkpoint = analysis.checkpoint.name
    return f"{name!r} ({checkpoint})" if checkpoint and checkpoint != name else repr(name)
