"""Which publications a result rests on, by what its file records."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from spectra._version import __version__
from spectra.findings.loss_analysis import LossAnalysis
from spectra.results.analysis import Analysis
from spectra.results.citations.papers import PAPERS
from spectra.results.citations.reference import Reference
from spectra.results.provenance import GAUSS_NEWTON, AnalysisProtocol, CheckpointIdentity

# By what recipes call their parts. SAM's variants are steps of SAM too.
_OPTIMIZERS = {
    "sam": ("foret2021sharpness",),
    "asam": ("kwon2021asam", "foret2021sharpness"),
    "imbsam": ("zhou2023imbsam", "foret2021sharpness"),
    "cc-sam": ("zhou2023ccsam", "foret2021sharpness"),
    "focal-sam": ("li2025focalsam", "foret2021sharpness"),
    "pgd": ("jin2017escape",),
    "lpf-sgd": ("bisla2022lowpass",),
}
_LOSSES = {
    "ldam": "cao2019ldam",
    "vs": "kini2021vs",
    "la": "menon2021logit",
    "focal": "lin2017focal",
}
_WEIGHTINGS = {
    "drw": ("cui2019classbalanced", "cao2019ldam"),
    "reweight": ("cui2019classbalanced",),
}
_DATA = {
    "digits": "alpaydin1998digits",
    "cifar10": "krizhevsky2009cifar",
    "cifar100": "krizhevsky2009cifar",
}
# CITATION.cff says the same.
_OWN_TITLE = "spectra: per-class {Hessian} spectra of classifiers trained on long-tailed data"


@dataclass(frozen=True)
class Citation:
    """A publication, and what of a result rests on it.

    Attributes:
        reference: the publication.
        reasons: what rests on it, each in some words.
    """

    reference: Reference
    reasons: tuple[str, ...]

    def bibtex(self) -> str:
        """Return the entry, the reasons before it, where BibTeX takes text for a remark."""
        return f"% {'; '.join(self.reasons)}\n{self.reference.bibtex()}"


def citations(analyses: Iterable[Analysis]) -> list[Citation]:
    """Return what results are to cite, by what they record of themselves.

    Args:
        analyses: of :func:`spectra.load_analysis`, or of a study.

    Example:
        >>> import torch, spectra
        >>> from spectra.results.citations.cited import citations
        >>> data = torch.linspace(-1, 1, 24).view(6, 4), [0, 1, 2, 0, 1, 2]
        >>> found = spectra.analyze_classes(torch.nn.Linear(4, 3), data, num_steps=3)
        >>> [citation.reference.key for citation in citations([found])][:2]
        ['spectra', 'rangwani2022escaping']
    """
    found = list(analyses)
    reasons: dict[str, list[str]] = {}
    for analysis in found:
        cited = (*trained_by(analysis.checkpoint), *analyzed_by(analysis))
        for key, reason in cited:
            known = reasons.setdefault(key, [])
            if reason not in known:
                known.append(reason)
    return _with_ourselves(reasons, [a.versions.get("hessian-spectra") for a in found])


def citations_of_training(checkpoint: CheckpointIdentity, version: str | None) -> list[Citation]:
    """Return what a network is to cite that has not been analyzed yet.

    Args:
        checkpoint: what it says of its training.
        version: of ``hessian-spectra`` that trained it; None: not known.
    """
    reasons: dict[str, list[str]] = {}
    for key, reason in trained_by(checkpoint):
        reasons.setdefault(key, []).append(reason)
    return _with_ourselves(reasons, [version])


def together(several: Iterable[Sequence[Citation]]) -> list[Citation]:
    """Return one citation of each publication, with the reasons of all."""
    found: dict[str, Citation] = {}
    for citation in (one for cited in several for one in cited):
        key = citation.reference.key
        known = found.get(key, citation)
        reasons = dict.fromkeys((*known.reasons, *citation.reasons))
        found[key] = Citation(known.reference, tuple(reasons))
    return list(found.values())


def trained_by(checkpoint: CheckpointIdentity) -> Iterator[tuple[str, str]]:
    """Yield the key of each publication that a training rests on, with what does."""
    recipe, data = checkpoint.recipe_fields or {}, checkpoint.data or {}
    optimizer, loss = str(recipe.get("optimizer")), str(recipe.get("loss"))
    weighting, source = str(recipe.get("weighting")), str(data.get("source"))
    network = str((checkpoint.architecture or {}).get("name"))
    for key in _OPTIMIZERS.get(optimizer, ()):
        yield key, f"optimizer {optimizer}"
    if loss in _LOSSES:
        yield _LOSSES[loss], f"training loss {loss}"
    for key in _WEIGHTINGS.get(weighting, ()):
        yield key, f"class weights {weighting}"
    if re.fullmatch(r"resnet\d+", network):
        yield "he2016resnet", f"network {network}"
    if source in _DATA:
        yield _DATA[source], f"data {source}"


def analyzed_by(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Yield the key of each publication that the numbers rest on, with what does."""
    protocol, solver, records = analysis.protocol, analysis.protocol.solver, analysis.records
    if any(record.products for record in records):
        yield "pearlmutter1994fast", "exact Hessian-vector products"
    if protocol.matrix == GAUSS_NEWTON:
        yield "schraudolph2002fast", "the Gauss-Newton matrix"
    if solver is not None and solver.engine == "pyhessian":
        yield "yao2020pyhessian", "engine pyhessian"
    elif records:
        yield "golub2013matrix", "Lanczos with full reorthogonalisation"
    yield from _of_records(protocol, records)


def _of_records(
    protocol: AnalysisProtocol, records: Sequence[LossAnalysis]
) -> Iterator[tuple[str, str]]:
    densities = [record.spectrum for record in records if record.spectrum is not None]
    if densities:
        for key in ("ubaru2017fast", "ghorbani2019investigation"):
            yield key, "densities by stochastic Lanczos quadrature"
        if protocol.images != "fresh":  # else there is no matrix to take the trace of
            yield "hutchinson1990stochastic", "traces"
            if any(spectrum.probe == "normal" for spectrum in densities):
                yield "chen2023krylov", "traces, resolved eigenvalues taken out"
    if any(r.certificates and r.certificates[0].beyond is not None for r in records):
        yield "vandorsselaer2000bounds", "bounds from outside on λmin and λmax"
    if any((r.active_images or r.n) < r.n for r in records):
        yield "sleijpen1996jacobi", "extremes by some of the images, corrected on all"
    if any(r.top is not None for r in records):
        yield "parlett1980symmetric", "eigenvalues counted by deflation"
    if any(r.bootstrap is not None for r in records):
        yield "efron1993bootstrap", "what other images of a class would give"
    if any(r.stationary is not None for r in records):
        yield "marquardt1963algorithm", "the search for a stationary point"
        yield "li2018visualizing", "distances in lengths of filters"


def _with_ourselves(
    reasons: dict[str, list[str]], versions: Sequence[str | None]
) -> list[Citation]:
    known = {version for version in versions if version and re.fullmatch(r"[\w.+-]+", version)}
    fields = {
        "author": "{the spectra authors}",
        "title": _OWN_TITLE,
        "note": f"Version {', '.join(sorted(known)) or __version__}",
    }
    own = Citation(Reference("spectra", "misc", fields), ("the software",))
    grew_from = "rangwani2022escaping"
    first = Citation(PAPERS[grew_from], ("the question, and the paper that the software is from",))
    return [own, first, *(Citation(PAPERS[key], tuple(said)) for key, said in reasons.items())]


def to_bibtex(cited: Sequence[Citation]) -> str:
    """Return a ``.bib`` file: an entry for each, with what rests on it."""
    return "\n\n".join(citation.bibtex() for citation in cited) + "\n"
