"""What is unusual in a result, a plain sentence each; what does not apply is not said."""

from collections.abc import Callable, Iterator

from spectra.engines.settings import SolverSettings
from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.verdict import NEGATIVE
from spectra.results.analysis import Analysis
from spectra.results.provenance import GAUSS_NEWTON
from spectra.results.said.short_words import labels_in_words

# Ours: with fewer images than this, each is more than a tenth of the loss.
FEW_IMAGES = 10


def unusual(analysis: Analysis) -> list[str]:
    """Return a sentence for everything that a reader of the numbers should know of them.

    Args:
        analysis: of any kind; of one loss or of a thousand.
    """
    return [*_of_the_whole(analysis), *_of_losses(analysis)]


def _of_the_whole(analysis: Analysis) -> Iterator[str]:
    protocol = analysis.protocol
    if protocol.images_per_class is not None:
        yield (
            f"A random {protocol.images_per_class} images of each class at most were analyzed, not "
            "all (--images-per-class)."
        )
    if protocol.reduction == "global":
        yield (
            "λ, ‖g‖ and the loss are multiplied by the loss's share of the whole "
            "(--reduction global), so that those of all classes add up."
        )
    if protocol.parameters:
        yield f"The Hessian is by {' '.join(protocol.parameters)} alone, not by all parameters."
    if protocol.split == "test":
        yield "The loss is that of test images, on which the network was not trained."
    if protocol.matrix == GAUSS_NEWTON:
        yield (
            "The Gauss-Newton matrix leaves out what the bending of the network adds: it has no "
            "negative curvature, so there is no ratio and no verdict."
        )


def _of_losses(analysis: Analysis) -> Iterator[str]:
    settings = analysis.protocol.solver or SolverSettings()

    def which(condition: Callable[[LossAnalysis], object]) -> list[LossAnalysis]:
        return [record for record in analysis.records if condition(record)]

    if found := which(lambda r: r.open_ended):
        yield (
            f"{_of(found)}: not converged in {settings.max_steps} steps. Where ≤ stands λmin may "
            "be lower, where ≥ stands λmax may be higher; raise --max-steps."
        )
    if found := which(lambda r: r.noise is not None):
        yield (
            f"{_of(found)}: every product had a new draw of the images, so λmin and λmax are "
            "values of no matrix, without residual or bound (--images fresh)."
        )
    if found := which(lambda r: r.ratio is not None and r.ratio > 1):
        yield (
            f"{_of(found)}: the ratio is above 1: the strongest negative curvature is stronger "
            "than the strongest positive one."
        )
    yield from _of_slopes(which(_slopes))
    if found := which(lambda r: r.n < FEW_IMAGES):
        images = _range([r.n for r in found])
        yield (
            f"{_of(found)}: of {images} image{'s' * (images != '1')}, so one image is much of the "
            "loss; other images of the class may give other numbers."
        )
    yield from _of_grounds(which)
    yield from _of_dashes(analysis, which)
    for record in analysis.records:
        if massless := record.massless_ends:
            yield f"{_of([record])}: of the density, {massless}"


def _of_slopes(found: list[LossAnalysis]) -> Iterator[str]:
    least = min((r.verdict.critical_radius or 0.0 for r in found), default=0.0)
    if found:
        yield (
            f"{_of(found)}: the gradient is large beside the negative curvature, which would "
            f"overtake it {least:.2g} away or further (ρ* = 2‖g‖/|λmin|); r is "
            f"{found[0].verdict.radius:g}. These weights lie on a slope of that loss, not at a "
            "saddle."
        )


def _slopes(record: LossAnalysis) -> bool:
    """Whether negative curvature is there, and slight beside the gradient."""
    verdict = record.verdict
    return (
        verdict.name == NEGATIVE
        and record.stationary is None  # a search says more
        and (verdict.critical_radius or 0.0) > verdict.radius
    )


def _of_grounds(
    which: Callable[[Callable[[LossAnalysis], object]], list[LossAnalysis]],
) -> Iterator[str]:
    """Say what is estimated, not bounded or contradicts itself."""
    known = which(lambda r: r.certificates)
    if found := [r for r in known if not _low(r, "proven")]:
        yield (
            f"{_of(found)}: λmin and λmax are estimated: no float64 pass has checked them; --proof "
            "makes one."
        )
    if found := [r for r in known if _low(r, "beyond") is None and r.noise is None]:
        yield (
            f"{_of(found)}: nothing bounds λmin from below, so a lower eigenvalue may have been "
            "missed; --certify-below looks for one."
        )
    if found := [r for r in known if any(c.contradicted for c in r.certificates or ())]:
        yield (
            f"{_of(found)}: a value lies beyond its own bound, which float32 or a rare start "
            "vector can do; repeat with --dtype float64 or another --seed."
        )


def _of_dashes(
    analysis: Analysis, which: Callable[[Callable[[LossAnalysis], object]], list[LossAnalysis]]
) -> Iterator[str]:
    """Say why there is a dash where others have a number."""
    if (found := which(lambda r: r.accuracy is None)) and len(found) < len(analysis.records):
        yield f"{_of(found)}: no test images, so no accuracy on them."
    if found := which(lambda r: not r.lambda_max):
        yield f"{_of(found)}: λmax is 0, so there is no ratio."
    if found := which(lambda r: r.bending is not None and r.bending.lowered_with is None):
        yield f"{_of(found)}: the loss is 0 here, so no part of it can be lowered."


def _low(record: LossAnalysis, name: str) -> float | bool | None:
    assert record.certificates is not None
    value: float | bool | None = getattr(record.certificates[0], name)
    return value


def _of(records: list[LossAnalysis]) -> str:
    said = labels_in_words(record.label for record in records)
    return said[:1].upper() + said[1:]


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
