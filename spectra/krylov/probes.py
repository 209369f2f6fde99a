"""Random start vectors, and Lanczos runs from them: one after the other, or step by step."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from spectra.errors import InputError, NonFiniteError
from spectra.krylov.defaults import PROBES
from spectra.krylov.lanczos import Lanczos
from spectra.system.progress import Progress, counted


def draw_probe(size: int, *, probe: str, generator: torch.Generator) -> Tensor:
    """Return a random start vector of length 1, shape (size,), float64, on the CPU.

    Args:
        size: P.
        probe: ``rademacher`` (independent signs: Hutchinson's estimator, of least variance) or
            ``normal`` (uniform on the sphere: what cold-start bounds assume).
        generator: a CPU generator.

    Raises:
        InputError: ``probe`` or ``generator`` is none of these.

    Example:
        >>> v = spectra.draw_probe(4, probe="rademacher", generator=spectra.make_generator(0))
        >>> v.abs().tolist()
        [0.5, 0.5, 0.5, 0.5]
    """
    if not isinstance(generator, torch.Generator):
        raise InputError(
            "generator must be a torch.Generator, got "
            f"{type(generator).__name__}; make one with spectra.make_generator(seed)"
        )
    if probe == "rademacher":
        v = torch.randint(0, 2, (size,), generator=generator).double() * 2 - 1
    elif probe == "normal":
        v = torch.randn(size, generator=generator, dtype=torch.float64)
    else:
        raise InputError(f"probe must be one of {', '.join(PROBES)}, got {probe!r}")
    return v / v.norm()


def probe_runs(
    begin: Callable[[int], Lanczos],
    *,
    num_probes: int,
    num_steps: int,
    together: bool = False,
    on_progress: Progress | None = None,
) -> Iterator[Lanczos]:
    """Yield a run for each probe, once it has made ``num_steps`` steps or its space has closed.

    Cost: ``num_probes`` · ``num_steps`` products; the vectors of one run at a time, of all runs
    where they step together.

    Args:
        begin: returns the run of probe k, k = 0, 1, ...; where runs follow each other, it is called
            once the caller is done with the run before.
        num_probes: how many.
        num_steps: of each run, those that it has made already included.
        together: step all runs together, see :func:`run_in_lockstep`.
        on_progress: called after each step, or round, with ("", steps done, steps in all).

    Raises:
        NonFiniteError: a product held NaN or infinity; the message names probe and step.
    """
    begun = [begin(k) for k in range(num_probes)] if together else []
    if together:
        run_in_lockstep(begun, num_steps, on_progress)

    for k in range(num_probes):
        run = begun[k] if together else begin(k)
        on_step = counted(on_progress, num_probes * num_steps, before=k * num_steps)
        with naming_probe(k):
            run.run(num_steps, on_step=on_step)
        yield run


def run_in_lockstep(
    runs: Sequence[Lanczos], num_steps: int, on_progress: Progress | None = None
) -> None:
    """Carry every run on until it has made ``num_steps`` steps or its space has closed.

    A pass over the operator serves all of them. Each gives what it would give alone: to the last
    bit where the operator's products of several vectors are those of each.

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
            with naming_probe(k):
                run.advance(product)
        if on_progress:
            on_progress("", sum(len(run) for run in runs), num_steps * len(runs))


@contextlib.contextmanager
def naming_probe(k: int) -> Iterator[None]:
    """Say in a NonFiniteError of the block which probe it was of; the first is probe 1."""
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(f"probe {k + 1}: {error}") from error
