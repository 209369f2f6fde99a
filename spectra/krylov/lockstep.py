"""Several Lanczos runs of one operator step by step together, so that a pass serves them all."""

from collections.abc import Sequence

import torch

from spectra.errors import NonFiniteError
from spectra.krylov.lanczos import Lanczos
from spectra.system.progress import Progress


def run_in_lockstep(
    runs: Sequence[Lanczos], num_steps: int, on_progress: Progress | None = None
) -> None:
    """Carry every run on until it has made ``num_steps`` steps or its space has closed.

    Each gives what it would give alone: to the last bit where the operator's products of several
    vectors are those of each.

    Cost: the bases of all runs are held at once.

    Args:
        runs: of one operator.
        num_steps: of each.
        on_progress: called after each round with ("", steps made, steps planned) of all.

    Raises:
        NonFiniteError: a product held NaN or infinity; the message names the run, from 1 on.
    """
    going = list(enumerate(runs))
    while going := [(k, run) for k, run in going if run.can_step and len(run) < num_steps]:
        vectors = torch.stack([run.basis.last() for _, run in going])
        products = runs[0].op.matmat(vectors)
        for (k, run), product in zip(going, products, strict=True):
            try:
                run.advance(product)
            except NonFiniteError as error:
                raise NonFiniteError(f"probe {k + 1}: {error}") from error
        if on_progress:
            on_progress("", sum(len(run) for run in runs), num_steps * len(runs))
