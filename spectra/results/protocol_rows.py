"""One checkpoint under several choices of images, as rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.product_noise import product_noise
from spectra.findings.spectrum_check import SpectrumCheck
from spectra.results.analysis import Analysis
from spectra.results.plain import written_as
from spectra.results.record import class_key

# The choice of images of which there is no matrix.
FRESH = "fresh"


@dataclass(frozen=True)
class ProtocolRow:
    """One loss under one choice of images.

    Attributes:
        label: of the loss, ``8`` or ``tail``; the key ``class`` of files.
        protocol: choice of images, and the recurrence: ``plain``, ``frozen:4``,
            ``fresh/pyhessian`` ...
        n: images.
        loss: mean loss.
        lambda_min: of the record in the protocol's result file: a Rayleigh quotient (under
            ``/pyhessian`` with PyHessian's products), or a Ritz value where there is no fixed
            matrix, loss / parameter².
        residual_min: ‖Hy - λmin y‖; None where nothing checks it.
        lambda_max: the same at the upper end.
        ratio: |λmin / λmax|; None for a zero Hessian.
        lambda_min_at_most: what is certified of λmin; None where nothing is.
        verdict: what the point is, or why there is no verdict.
        grad_norm: ‖g‖ of the loss.
        alpha_over_beta: see :class:`spectra.ProductNoise`; None without a recurrence.
        asymmetry: of the density, see there; None without a recurrence.
        node_min: smallest node of the density, a Ritz value that nothing checks: what the
            protocol's own recurrence says of λmin; None without a density.
        node_max: largest node.
        node_ratio: |node_min / node_max|; None without a density.
        mass_min: P times the weight of the lowest node, about 1 for an eigenvalue, see
            :class:`spectra.SpectrumCheck`; None without a density, and in older files.
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
    node_min: float | None = None
    node_max: float | None = None
    node_ratio: float | None = None
    mass_min: float | None = None

    @property
    def by_recurrence(self) -> bool:
        """Whether the protocol is about what its recurrence says: ``fresh``, ``/pyhessian``."""
        return self.protocol.startswith(FRESH) or "/" in self.protocol

    @property
    def protocol_ratio(self) -> float | None:
        """What the protocol publishes: ``node_ratio`` of a recurrence, ``ratio`` of a matrix."""
        return self.node_ratio if self.by_recurrence and self.node_ratio else self.ratio


def protocol_rows(found: Mapping[str, Analysis]) -> list[ProtocolRow]:
    """Return a row for each loss and protocol, a loss's protocols beside each other.

    Args:
        found: the result under each protocol, by its name.
    """
    labels = dict.fromkeys(r.label for analysis in found.values() for r in analysis.records)
    return [
        _row(name, record)
        for label in labels
        for name, analysis in found.items()
        for record in analysis.records
        if record.label == label
    ]


def _row(protocol: str, record: LossAnalysis) -> ProtocolRow:
    spectrum, noise = record.spectrum, record.noise
    if spectrum is not None and noise is None:
        noise = product_noise(spectrum)
    ends = None if spectrum is None else (float(spectrum.nodes[0]), float(spectrum.nodes[-1]))
    low, high = ends or (None, None)
    return ProtocolRow(
        label=record.label,
        protocol=protocol,
        n=record.n,
        loss=record.loss,
        lambda_min=record.lambda_min,
        residual_min=record.residual_min,
        lambda_max=record.lambda_max,
        ratio=record.ratio,
        lambda_min_at_most=record.certificates[0].attained if record.certificates else None,
        verdict=record.verdict.name,
        grad_norm=record.grad_norm,
        alpha_over_beta=noise.alpha_over_beta if noise else None,
        asymmetry=noise.asymmetry if noise else None,
        node_min=low,
        node_max=high,
        node_ratio=abs(low / high) if low is not None and high else None,
        mass_min=None if spectrum is None else SpectrumCheck.of(spectrum).lowest.mass,
    )
