"""Stochastic Lanczos quadrature."""

import torch
from torch import Tensor

from spectra.errors import InputError, NonFiniteError
from spectra.krylov.defaults import NUM_PROBES, NUM_STEPS, PROBES
from spectra.krylov.lanczos import Lanczos, is_count
from spectra.krylov.lockstep import run_in_lockstep
from spectra.krylov.spectrum import Spectrum
from spectra.operators.interface import SymmetricOperator
from spectra.system.progress import Progress


def draw_probe(size: int, *, probe: str, generator: torch.Generator) -> Tensor:
    """Return a random start vector of length 1, shape (size,), float64, on the CPU.

    Args:
        size: P.
        probe: ``rademacher`` (independent signs: Hutchinson's estimator, of least variance) or
            ``normal`` (uniform on the sphere: what cold-start bounds assume).
        generator: a CPU generator.

    Raises:
        InputError: ``probe`` or ``generator`` is none of these.
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


def slq(
    op: SymmetricOperator,
    *,
    num_probes: int = NUM_PROBES,
    num_steps: int = NUM_STEPS,
    probe: str = "rademacher",
    generator: torch.Generator,
    lockstep: bool | None = None,
    on_progress: Progress | None = None,
) -> Spectrum:
    """Estimate the spectral density of ``op`` by stochastic Lanczos quadrature.

    Cost: ``num_probes`` · ``num_steps`` products.

    Args:
        op: symmetric operator on R^P.
        num_probes: independent probes (PyHessian: ``n_v``).
        num_steps: Lanczos steps for each, at most P (PyHessian: ``iter``).
        probe: distribution of the start vectors, see :func:`draw_probe`.
        generator: explicit source of randomness, on the CPU.
        lockstep: step all probes together, for operators that take several vectors a pass; None:
            for those. Holds the vectors of all probes at once.
        on_progress: called after each step with ("", steps done, steps in all).

    Returns:
        Raw quadrature; smooth it with :meth:`Spectrum.density`, draw it with
        ``figures.plot_density``.

    Raises:
        InputError: a number is out of range, or ``generator`` is none.
        NonFiniteError: a product held NaN or infinity; the message names probe and step.

    Source: Ubaru, Chen & Saad 2017; Golub & Meurant; for networks Ghorbani et al. 2019.
    """
    if not (is_count(num_probes) and is_count(num_steps)):
        raise InputError(
            "num_probes and num_steps must be integers of at least 1, got "
            f"{num_probes!r} and {num_steps!r}"
        )
    steps = min(num_steps, op.size)
    probes = []
    if op.vectors_a_pass > 1 if lockstep is None else lockstep:
        drawn = [draw_probe(op.size, probe=probe, generator=generator) for _ in range(num_probes)]
        runs = [Lanczos(op, start) for start in drawn]
        run_in_lockstep(runs, steps, on_progress)
        return Spectrum(tuple(run.tridiagonal() for run in runs), op.size, probe)
    for k in range(num_probes):
        run = Lanczos(op, draw_probe(op.size, probe=probe, generator=generator))
        while len(run) < steps:
            try:
                if not run.step():
                    break
            except NonFiniteError as error:
                raise NonFiniteError(f"probe {k + 1}: {error}") from error
            if on_progress:
                on_progress("", k * steps + len(run), num_probes * steps)
        probes.append(run.tridiagonal())
    return Spectrum(tuple(probes), op.size, probe)
