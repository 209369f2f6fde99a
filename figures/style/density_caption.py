"""What several densities share: one window, and the words below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from figures.style.comparable import number, protocol_text, solver_text
from figures.style.density_panel import DrawnDensity
from figures.style.spectral_axes import Window
from spectra.results.provenance import AnalysisProtocol

_STEMS = (
    "Stems: resolved eigenvalues, 1/P each, as high as their Gaussian (bar: residual); curve: the "
    "rest of the P eigenvalues, whose nodes lie between the ticks on the axis"
)
_FLOOR = "1e−7 is added to densities, as in the paper's code"
_BAND = "band: 95 % at each point by itself, over the random probes, where the steps carry one"
_HOLLOW = (
    "Hollow marks, ≤\u00a0and\u00a0≥: not known to have converged, so λmin may be lower, λmax "
    "higher."
)
_NO_MASS = "Crosses: nodes that carry no mass, of the 1/P of an eigenvalue: they belong to none."
_NO_MATRIX = "Hollow marks: Ritz values of products that change, of no matrix."


def common_window(
    drawn: Sequence[DrawnDensity], *, sigma: float | None, xlim: float | None
) -> Window:
    """Return the axes that hold all densities, and the one width that all are smoothed with.

    Ours: the width is the largest that any of them would have alone
    (:meth:`spectra.Spectrum.reference_sigma`). A narrower one draws bumps of Lanczos nodes that
    are no eigenvalues where the range is wide; what a wider one hides of a narrow range is
    resolved, and drawn as stems.

    Args:
        drawn: every density, of all pages.
        sigma: the width, eigenvalue units; None for the rule.
        xlim: half-width of the eigenvalue axis; None for the power of ten that holds all.
    """
    width = sigma if sigma is not None else max(d.spectrum.reference_sigma() for d in drawn)
    extremes = [v for d in drawn for v in (d.low, d.high, *d.spectrum.nodes[[0, -1]])]
    return Window.around(extremes, lambda s: max(d.peak(s) for d in drawn), sigma=width, xlim=xlim)


def density_caption(
    drawn: Mapping[str, DrawnDensity],
    window: Window,
    protocol: AnalysisProtocol | None = None,
    *,
    chosen: bool,
    shared: bool,
) -> str:
    """Return what stands below densities.

    Args:
        drawn: those of the page, by what they are called.
        window: that they are drawn in.
        protocol: where no header says it.
        chosen: whether the user chose σ.
        shared: whether σ is that of several densities.
    """
    rule = "" if chosen else " = √(1e−5·max(1,\u00a0range))"
    if not chosen and shared:
        rule += " of the widest range, for all"
    every = list(drawn.values())
    parts = [
        f"Gaussian smoothing, σ\u00a0=\u00a0{number(window.sigma)}{rule}",
        solver_text([d.spectrum for d in every]),
        _FLOOR,
        _BAND if any(d.found is not None and d.spectrum.probe == "normal" for d in every) else "",
        "" if protocol is None else protocol_text(protocol),
    ]
    text = "; ".join(part for part in parts if part) + "."
    if any(d.found is not None and len(d.found) for d in every):
        text = f"{_STEMS}. {text}"
    if any(d.ends.massless for d in every):
        text = f"{text} {_NO_MASS}"
    if any(d.record is not None and d.record.noise is not None for d in every):
        return f"{text} {_NO_MATRIX}{_verdicts(drawn)}"
    return text + ("" if all(d.certain for d in every) else f" {_HOLLOW}") + _verdicts(drawn)


def _verdicts(drawn: Mapping[str, DrawnDensity]) -> str:
    """Return the verdicts, each once with what it is of."""
    of: dict[str, list[str]] = {}
    for name, one in drawn.items():
        if one.record is not None:
            of.setdefault(one.record.verdict.name, []).append(name)
    if len(of) == 1:
        return f" Verdict{'s' * (len(drawn) > 1)}: {next(iter(of))}."
    told = "; ".join(f"{name}: {', '.join(names)}" for name, names in of.items())
    return f" Verdicts: {told}." if told else ""
