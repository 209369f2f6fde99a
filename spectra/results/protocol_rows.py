"""One checkpoint under several choices of images, as rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.product_noise import product_noise
from spectra.results.analysis import Analysis
from spectra.results.plain import written_as
from spectra.results.record import class_key

# Ritz values of PyHessian's recurrence over plain images: of the Hessian, but with no residual.
ITS_NODES = "its recurrence, unchecked"


@dataclass(frozen=True)
class ProtocolRow:
    """One loss under one choice of images.

    Attributes:
        label: of the loss, ``8`` or ``tail``; the key ``class`` of files.
        protocol: choice of images, and the recurrence: ``plain``, ``frozen:4``,
            ``fresh/pyhessian`` ...
        n: images.
        loss: mean loss.
        lambda_min: Rayleigh quotient, or Ritz value where there is no fixed matrix, loss /
            parameter².
        residual_min: ‖Hy - λmin y‖; None where nothing checks it.
        lambda_max: the same at the upper end.
        ratio: |λmin / λmax|; None for a zero Hessian.
        lambda_min_at_most: what is certified of λmin; None where nothing is.
        verdict: what the point is, or why there is no verdict.
        grad_norm: ‖g‖ of the loss.
        alpha_over_beta: see :class:`spectra.ProductNoise`; None without a recurrence.
        asymmetry: of the density, see there; None without a recurrence.
    """

    label: str = field(metadata=written_as("class", class_key))
    protocol: str
    n: int
    loss: float
    lambda_min: float
    residual_min: float | None
    lambda_max: float
    ratio: float | None
    lambda_min_at_most: float | None
    verdict: str
    grad_norm: float
    alpha_over_beta: float | None
    asymmetry: float | None


def protocol_rows(found: Mapping[str, Analysis]) -> list[ProtocolRow]:
    """Return a row for each loss and protocol, a loss's protocols beside each other.

    Args:
        found: the result under each protocol, by its name.
    """
    labels = dict.fromkeys(r.label for analysis in found.values() for r in analysis.records)
    return [
        _row(name, record, by_peer=_by_peer(analysis))
        for label in labels
        for name, analysis in found.items()
        for record in analysis.records
        if record.label == label
    ]


def _by_peer(analysis: Analysis) -> bool:
    return analysis.protocol.solver is not None and analysis.protocol.solver.engine == "pyhessian"


def _row(protocol: str, record: LossAnalysis, *, by_peer: bool) -> ProtocolRow:
    spectrum, noise = record.spectrum, record.noise
    low, high, residual, verdict = (
        record.lambda_min, record.lambda_max, record.residual_min, record.verdict.name,
    )  # fmt: skip
    attained = record.certificates[0].attained if record.certificates else None
    if spectrum is not None and noise is None:
        noise = product_noise(spectrum)
        if by_peer:
            low, high = float(spectrum.nodes[0]), float(spectrum.nodes[-1])
            residual = attained = None
            verdict = ITS_NODES
    return ProtocolRow(
        label=record.label,
        protocol=protocol,
        n=record.n,
        loss=record.loss,
        lambda_min=low,
        residual_min=residual,
        lambda_max=high,
        ratio=abs(low / high) if high else None,
        lambda_min_at_most=attained,
        verdict=verdict,
        grad_norm=record.grad_norm,
        alpha_over_beta=noise.alpha_over_beta if noise else None,
        asymmetry=noise.asymmetry if noise else None,
    )
