"""What every engine gives."""

from dataclasses import dataclass

from spectra.active.density import DensityBound
from spectra.krylov.extremes import Extremes
from spectra.krylov.outer_bounds import TailBounds
from spectra.krylov.spectrum import Spectrum


@dataclass(frozen=True)
class EngineResult:
    """What an engine found.

    Attributes:
        spectrum: raw quadrature; None where no density was asked for.
        extremes: eigenpairs with residuals.
        scales: what rounding of their values is measured against, lower and upper end.
        tail: what bounds the spectrum from outside; None where nothing does.
        density: how far the density can be from that of all images; None: it is that of all.
        cause: why nothing does, see :mod:`spectra.findings.certificates`; with ``tail``, what
            it rests on.
    """

    spectrum: Spectrum | None
    extremes: Extremes
    scales: tuple[float, float] = (0.0, 0.0)
    tail: TailBounds | None = None
    cause: str = ""
    density: DensityBound | None = None
