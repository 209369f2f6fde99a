"""What is unusual in a result, a plain sentence each; what does not apply is not said."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from spectra.engines.settings import SolverSettings
from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.verdict import NEGATIVE
from spectra.results.analysis import Analysis
from spectra.results.provenance import GAUSS_NEWTON, AnalysisProtocol
from spectra.results.said.short_words import labels_in_words

# Ours: with fewer images than this, each is more than a tenth of the loss.
FEW_IMAGES = 10
# Ours: a network that was trained on images gets more than half of them right, and one that is
# shown them in another form than in training mostly does not.
_LEAST_RIGHT = 0.5

Records = Sequence[LossAnalysis]


class _Rule(NamedTuple):
    """When a loss is unusual, and what is then said of all that are: ``Classes 8, 9: ...``."""

    applies: Callable[[LossAnalysis, AnalysisProtocol], object]
    say: Callable[[Records, AnalysisProtocol], str]
    of_most: bool = False  # true of nearly every class's own loss


def unusual(analysis: Analysis) -> list[str]:
    """Return a sentence for everything that a reader of the numbers should know of them.

    Losses of which the same is said share a sentence.
    """
    said = [*_of_the_whole(analysis.protocol), *_badly_fitted(analysis)]
    tested = any(record.accuracy is not None for record in analysis.records)
    for rule in _RULES:
        found = [r for r in analysis.records if rule.applies(r, analysis.protocol)]
        if found:
            said.append(f"{_of(found)}: {rule.say(found, analysis.protocol)}")
    if tested and (found := [r for r in analysis.records if r.accuracy is None]):
        said.append(f"{_of(found)}: there are no test images, so no accuracy on them.")
    for record in analysis.records:
        if massless := record.massless_ends:
            said.append(f"{_of([record])}: of the density, {massless}")
    return said


def unusual_of(record: LossAnalysis, protocol: AnalysisProtocol) -> list[str]:
    """Return what is unusual in one loss, without its name, and without what is true of most."""
    rules = (rule for rule in _RULES if not rule.of_most and rule.applies(record, protocol))
    return [rule.say([record], protocol) for rule in rules]


def _of_the_whole(protocol: AnalysisProtocol) -> Iterator[str]:
    if protocol.images_per_class is not None:
        yield (
            f"Of each class at most {protocol.images_per_class} images, drawn at random, were "
            "analyzed (--images-per-class)."
        )
    if protocol.reduction == "global":
        yield (
            "λ, ‖g‖ and loss are multiplied by the loss's share of the whole (--reduction "
            "global), so that those of all classes add up."
        )
    if protocol.parameters:
        yield f"The Hessian is by {' '.join(protocol.parameters)} alone, not by all parameters."
    if protocol.split == "test":
        yield "The losses are of test images, on which the network was not trained."
    if protocol.matrix == GAUSS_NEWTON:
        yield (
            "The Gauss-Newton matrix leaves out what the bending of the network adds: it has no "
            "negative curvature, so there is no ratio and no verdict."
        )


def _badly_fitted(analysis: Analysis) -> Iterator[str]:
    """Say so where most training images are wrong: they may not be what it was trained on."""
    records = [r for r in analysis.records if len(r.classes) == 1]
    images = sum(r.n for r in records)
    if analysis.protocol.split != "train" or len(records) < 2 or not images:
        return
    right = sum(r.n * r.fit_accuracy for r in records) / images
    if right < _LEAST_RIGHT:
        yield (
            f"The network gets only {100 * right:.0f} % of these training images right. Either it "
            "has not learned these classes, or the images are not as they were in training: then "
            "see --data, --normalisation, and whether labels begin at 0."
        )


def _slopes(record: LossAnalysis, _: AnalysisProtocol) -> bool:
    """Whether negative curvature is there, and slight beside the gradient."""
    verdict = record.verdict
    return (
        verdict.name == NEGATIVE
        and record.stationary is None  # a search says more
        and (verdict.critical_radius or 0.0) > verdict.radius
    )


def _slope(found: Records, _: AnalysisProtocol) -> str:
    least = min(record.verdict.critical_radius or 0.0 for record in found)
    return (
        "the gradient is large beside the negative curvature, which would overtake it "
        f"{least:.2g} away or further (ρ* = 2‖g‖/|λmin|); r is {found[0].verdict.radius:g}. These "
        "weights lie on a slope of that loss, not at a saddle."
    )


def _own_images(record: LossAnalysis, protocol: AnalysisProtocol) -> int:
    """Return how many images are not views of another one; of ``frozen:all`` that is not known."""
    kind, _, views = (protocol.images or "").partition(":")
    return record.n // int(views) if kind == "frozen" and views.isdecimal() else record.n


def _few(found: Records, protocol: AnalysisProtocol) -> str:
    counts = [_own_images(record, protocol) for record in found]
    low, high = min(counts), max(counts)
    counted = f"{low} to {high} images" if low < high else f"{low} image{'s' * (low != 1)}"
    return (
        f"{counted}, so one image is much of the loss; other images of the class may give other "
        "numbers."
    )


def _open_ended(_: Records, protocol: AnalysisProtocol) -> str:
    steps = (protocol.solver or SolverSettings()).max_steps
    return (
        f"not converged in {steps} steps. Where ≤ stands λmin may be lower, where ≥ stands λmax "
        "may be higher; raise --max-steps."
    )


def _said(text: str) -> Callable[[Records, AnalysisProtocol], str]:
    return lambda found, protocol: text


_RULES = (
    _Rule(lambda r, _: r.open_ended, _open_ended),
    _Rule(
        lambda r, _: r.noise is not None,
        _said(
            "every product had a new draw of the images, so λmin and λmax are values of no "
            "matrix, without residual or bound (--images fresh)."
        ),
    ),
    _Rule(
        lambda r, _: r.ratio is not None and r.ratio > 1,
        _said(
            "the ratio is above 1: the strongest negative curvature is stronger than the "
            "strongest positive one."
        ),
    ),
    _Rule(_slopes, _slope, of_most=True),
    _Rule(lambda r, protocol: _own_images(r, protocol) < FEW_IMAGES, _few),
    _Rule(
        lambda r, _: r.certificates and not r.certificates[0].proven,
        _said(
            "λmin and λmax are estimated: no float64 pass has checked them; --proof makes one."
        ),
    ),
    _Rule(
        lambda r, _: r.certificates and r.certificates[0].beyond is None and r.noise is None,
        _said(
            "nothing bounds λmin from below, so a lower eigenvalue may have been missed; "
            "--certify-below looks for one."
        ),
    ),
    _Rule(
        lambda r, _: any(certificate.contradicted for certificate in r.certificates or ()),
        _said(
            "a value lies beyond its own bound, which float32 or a rare start vector can do; "
            "repeat with --dtype float64 or another --seed."
        ),
    ),
    _Rule(lambda r, _: not r.lambda_max, _said("λmax is 0, so there is no ratio.")),
    _Rule(
        lambda r, _: r.bending is not None and r.bending.lowered_with is None,
        _said("the loss is 0 here, so no part of it can be lowered."),
    ),
)  # fmt: skip


def _of(records: Records) -> str:
    said = labels_in_words(record.label for record in records)
    return said[:1].upper() + said[1:]
