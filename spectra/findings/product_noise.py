"""What tells a recurrence over products that change from one over a fixed Hessian."""

from dataclasses import dataclass

import numpy as np

from spectra.errors import InputError
from spectra.krylov.spectrum import Spectrum


@dataclass(frozen=True)
class ProductNoise:
    """What tells a recurrence over changing matrices from one over a Hessian.

    Attributes:
        alpha_over_beta: mean |α| / mean β of the tridiagonal matrices: of order 1 for a Hessian
            whose spectrum leans to one side, near 0 where noise dominates.
        asymmetry: |∫t dμ| / ∫|t| dμ of the density: 1 where no eigenvalue is negative, 0 where the
            density is symmetric.
    """

    alpha_over_beta: float
    asymmetry: float


def product_noise(spectrum: Spectrum) -> ProductNoise:
    """Return both numbers of a spectrum whose products had a new draw of the images each.

    Raises:
        InputError: there is one step only, so no β.
    """
    betas = np.concatenate([t.betas for t in spectrum.probes])
    if not len(betas) or not betas.mean() > 0:
        raise InputError("a fresh draw at every product needs at least 2 Lanczos steps")
    alphas = np.concatenate([t.alphas for t in spectrum.probes])
    nodes, weights = spectrum.nodes, spectrum.weights
    return ProductNoise(
        alpha_over_beta=float(np.abs(alphas).mean() / betas.mean()),
        asymmetry=abs(float(weights @ nodes)) / max(float(weights @ np.abs(nodes)), 1e-300),
    )
