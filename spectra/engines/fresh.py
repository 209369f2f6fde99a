"""The recurrences of both engines over images that are drawn anew at every product."""

import torch

from spectra.engines.pyhessian import PyHessianOperator
from spectra.engines.settings import SolverSettings
from spectra.krylov.slq import slq
from spectra.krylov.spectrum import Spectrum
from spectra.operators.fresh import Draw, FreshBatches, FreshOperator
from spectra.operators.hessian import HessianOperator
from spectra.system.progress import Progress
from spectra.system.seeding import derive_seed, make_generator

# Of the published script.
BATCH_SIZE = 128


def fresh_density(
    op: HessianOperator,
    draw: Draw,
    *,
    label: str,
    settings: SolverSettings,
    on_progress: Progress | None = None,
) -> tuple[Spectrum, HessianOperator]:
    """Return what quadrature makes of products that change, and the Hessian over the last draw.

    Args:
        op: over a first draw.
        draw: returns the next draw.
        label: names the loss; probes depend on it and on the seed alone.
        settings: engine, probes (at least one is run), steps, seed.
        on_progress: called with ("", steps done, steps planned); not by PyHessian.

    Returns:
        The quadrature; and the Hessian over the last draw, over the first one where PyHessian drew.
    """
    probes = max(1, settings.num_probes)
    if settings.engine == "pyhessian":
        batches = FreshBatches(draw, torch.arange(op.num_images, device=op.device), BATCH_SIZE)
        spectrum = PyHessianOperator(op, batches).density(
            num_probes=probes,
            num_steps=settings.num_steps,
            seed=derive_seed(settings.seed, "pyhessian density", label) % 2**32,
        )
        return spectrum, op
    fresh = FreshOperator(op, draw)
    spectrum = slq(
        fresh,
        num_probes=probes,
        num_steps=settings.num_steps,
        probe=settings.probe,
        generator=make_generator(settings.seed, "fresh probes", label),
        on_progress=on_progress,
    )
    return spectrum, fresh.last
