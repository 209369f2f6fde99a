"""What every engine gives."""

from dataclasses import dataclass

from spectra.active.density_by_active_images import DensityBound
from spectra.krylov.extremes import Extremes
from spectra.krylov.spectrum import Spectrum


@dataclass(frozen=True)
class EngineResult:
    """What an engine found.

    Attributes:
        spectrum: raw quadrature; None where no density was asked for.
        extremes: eigenpairs with residuals, and what bounds the spectrum from outside.
        cause: why nothing does, see :mod:`spectra.findings.certificates`; where something does,
            what it rests on.
        density: how far the density can be from that of all images; None: it is that of all.
    """

    spectrum: Spectrum | None
    extremes: Extremes
    cause: str = ""
    density: DensityBound | None = None
