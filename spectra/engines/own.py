"""Our engine: the first probe's Lanczos run serves the density and the extremes."""

from spectra.engines.settings import EngineResult, SolverSettings
from spectra.errors import NonFiniteError
from spectra.extremes import extreme_eigenpairs
from spectra.lanczos import Lanczos
from spectra.operators import SymmetricOperator
from spectra.seeding import make_generator
from spectra.slq import StepCallback, draw_probe
from spectra.spectrum import Spectrum


def run_spectra(
    op: SymmetricOperator,
    *,
    label: str,
    settings: SolverSettings,
    on_step: StepCallback | None = None,
) -> EngineResult:
    """Run the probes for ``num_steps`` steps; carry the first on until the extremes converge.

    Probe k depends on (seed, label, k) alone.

    Raises:
        NonFiniteError: a product held NaN or infinity; the message names probe and step.
    """
    steps = min(settings.num_steps, op.size)
    planned = steps * settings.num_probes
    quadratures = []
    for k in range(settings.num_probes):
        generator = make_generator(settings.seed, "probe", label, k)
        run = Lanczos(op, draw_probe(op.size, probe=settings.probe, generator=generator))
        try:
            while len(run) < steps and run.step():
                if on_step:
                    on_step(k * steps + len(run), planned)
            quadratures.append(run.tridiagonal())
            if k == 0:
                extremes = extreme_eigenpairs(
                    op,
                    tol=settings.tol,
                    floor=settings.floor,
                    max_steps=max(settings.max_steps, steps),
                    run=run,
                )
        except NonFiniteError as error:
            raise NonFiniteError(f"probe {k + 1}: {error}") from error
    return EngineResult(Spectrum(tuple(quadratures), op.size, settings.probe), extremes)
