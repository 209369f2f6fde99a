"""A short cold run over all images, beside what is known: would it have found another end?

What was found on a selection of images, or from a warm start, converges whether or not it is the
outermost: residuals are no evidence, nor is it that a vector is near to an earlier one. So a few
Lanczos steps over all images begin at a random vector orthogonal to all that is known. Its products
join those of the ends; where an eigenvalue further out hides, their span has a Ritz value there.
"""

from __future__ import annotations

import torch

from spectra.active.jacobi_davidson import PartModel, Subspace, outside
from spectra.krylov.probes import draw_probe

# Ours: an eigenvalue as large as those found, in all that the model of the part did not explain,
# grows by a factor of 5 to 50 a step against the rest of a random vector.
CHECK_STEPS = 3


def cold_check(
    sub: Subspace, model: PartModel, generator: torch.Generator, *, steps: int = CHECK_STEPS
) -> int:
    """Add ``steps`` Lanczos vectors of a random start, orthogonal to ``model``, to ``sub``.

    Cost: ``steps`` products over all images.

    Args:
        sub: holds the ends that were found, and products over all images.
        model: whose vectors need no search.
        generator: of the start, on the CPU; nothing that is known may depend on what it draws.

    Returns:
        The vectors added: fewer where the space closes.
    """
    op = sub.op
    following = draw_probe(op.size, probe="normal", generator=generator).to(op.device)
    for made in range(steps):
        beside, size, left = outside(following, model.vectors.double())
        if not left > torch.finfo(op.dtype).eps * size or not sub.extend([beside]):
            return made
        following = sub.products[-1]
    return steps
