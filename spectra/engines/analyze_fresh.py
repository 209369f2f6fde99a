"""One loss by the recurrence of either engine over images that are drawn anew at every product."""

import torch

from spectra.engines.pyhessian import PyHessianOperator, its_seed
from spectra.engines.settings import SolverSettings
from spectra.findings.loss_analysis import LossAnalysis
from spectra.findings.product_noise import product_noise
from spectra.findings.verdict import NOT_A_MATRIX, RADIUS, TAU, Verdict
from spectra.krylov.slq import slq
from spectra.krylov.spectrum import Spectrum
from spectra.operators.fresh import Draw, FreshBatches, FreshOperator
from spectra.operators.hessian import HessianOperator
from spectra.system.progress import Progress
from spectra.system.seeding import make_generator

# Of the published script.
BATCH_SIZE = 128
FRESH_NEXT = "Images that stay the same (--images plain, or frozen:K) have a matrix."


def analyze_fresh(
    op: HessianOperator,
    draw: Draw,
    *,
    label: str,
    classes: tuple[int, ...],
    settings: SolverSettings,
    factor: float = 1.0,
    radius: float = RADIUS,
    tau: float = TAU,
    on_progress: Progress | None = None,
) -> LossAnalysis:
    """Run the recurrence with a new draw of the images at every product, as published.

    λmin and λmax are the extreme Ritz values. They belong to no matrix: there is no residual, no
    certificate, and the verdict says so. Loss, accuracy and gradient are over the last draw.

    Cost: num_probes · num_steps products (one probe where none are asked for) and one gradient.

    Args:
        op: over a first draw of the images.
        draw: returns the next draw.
        label: names the loss; the probes depend on it and on ``settings.seed`` alone.
        classes: the labels of the images.
        settings: engine, probes, steps, seed; ``pyhessian`` runs PyHessian's own recurrence.
        factor: multiplies the loss, see :class:`LossAnalysis`; > 0.
        radius: r, which the verdict states.
        tau: relative tolerance, which the verdict states.
        on_progress: called with ("", steps done, steps planned); not by PyHessian.

    Source: the code of Rangwani et al. 2022.
    """
    spectrum, op = fresh_density(op, draw, label=label, settings=settings, on_progress=on_progress)
    noise = product_noise(spectrum)
    reason = (
        "the images are drawn anew at every product: mean|α| / mean β "
        f"{noise.alpha_over_beta:.3g}, asymmetry {noise.asymmetry:.3g}"
    )
    return LossAnalysis(
        label=label,
        classes=classes,
        n=op.num_images,
        factor=factor,
        loss=op.loss() * factor,
        fit_accuracy=op.accuracy(),
        lambda_min=float(spectrum.nodes[0]) * factor,
        lambda_max=float(spectrum.nodes[-1]) * factor,
        residual_min=None,
        residual_max=None,
        converged=False,
        steps=max(len(t) for t in spectrum.probes),
        grad_norm=float(op.gradient().norm()) * factor,
        grad_along_vmin=None,
        spectrum=spectrum if factor == 1.0 else spectrum.scaled(factor),
        verdict=Verdict(
            NOT_A_MATRIX, reason, radius, tau, None, "images that stay (--images plain)"
        ),
        products=op.choice.label if settings.engine == "spectra" else settings.engine,
        image_products=op.count.total if settings.engine == "spectra" else None,
        active_images=op.num_images,
        noise=noise,
    )


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
        spectrum = published_products(op, draw).density(
            num_probes=probes,
            num_steps=settings.num_steps,
            seed=its_seed(settings.seed, label),
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


def published_products(op: HessianOperator, draw: Draw) -> PyHessianOperator:
    """Return PyHessian's products over a loader that draws the images anew at each of them.

    Args:
        op: over a first draw.
        draw: returns the next draw.
    """
    index = torch.arange(op.num_images, device=op.device)
    return PyHessianOperator(op, FreshBatches(draw, index, BATCH_SIZE))
