"""What every engine takes and gives."""

from dataclasses import asdict, dataclass
from typing import Any

from spectra.errors import InputError
from spectra.extremes import FLOOR, MAX_STEPS, TOLERANCE, Extremes
from spectra.slq import NUM_PROBES, NUM_STEPS
from spectra.spectrum import Spectrum


@dataclass(frozen=True)
class SolverSettings:
    """How a spectrum is computed.

    Attributes:
        engine: ``spectra`` or ``pyhessian``.
        num_probes: random probes of the density (PyHessian: ``n_v``).
        num_steps: Lanczos steps for each (PyHessian: ``iter``).
        probe: distribution of the probes.
        tol: relative residual asked of the extremes.
        floor: relative size under which an eigenvalue counts as zero.
        max_steps: limit on the steps of the run that the extremes come from.
        seed: of the probes.
    """

    engine: str = "spectra"
    num_probes: int = NUM_PROBES
    num_steps: int = NUM_STEPS
    probe: str = "rademacher"
    tol: float = TOLERANCE
    floor: float = FLOOR
    max_steps: int = MAX_STEPS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_probes < 1 or self.num_steps < 1:
            raise InputError(
                "num_probes and num_steps must be at least 1, got "
                f"{self.num_probes} and {self.num_steps}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that result files store."""
        return asdict(self)


@dataclass(frozen=True)
class EngineResult:
    """What an engine found.

    Attributes:
        spectrum: raw quadrature.
        extremes: eigenpairs with residuals.
    """

    spectrum: Spectrum
    extremes: Extremes
