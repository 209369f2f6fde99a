"""Stochastic Lanczos quadrature."""

import torch

from spectra.errors import InputError, check_count
from spectra.krylov.defaults import NUM_PROBES, NUM_STEPS
from spectra.krylov.lanczos import Lanczos
from spectra.krylov.probes import draw_probe, probe_runs
from spectra.krylov.quadrature.deflated import deflated_quadrature
from spectra.krylov.spectrum import Spectrum
from spectra.operators.interface import SymmetricOperator
from spectra.operators.matrices import check_operator
from spectra.system.progress import Progress
from spectra.system.seeding import make_generator


def slq(
    op: SymmetricOperator,
    *,
    num_probes: int = NUM_PROBES,
    num_steps: int = NUM_STEPS,
    probe: str = "normal",
    seed: int = 0,
    generator: torch.Generator | None = None,
    lockstep: bool | None = None,
    deflate: bool = False,
    on_progress: Progress | None = None,
) -> Spectrum:
    """Estimate the spectral density of ``op`` by stochastic Lanczos quadrature.

    With the defaults, nodes and weights are to the last bit those of ``spectra analyze``, for the
    class that ``op.label`` names.

    Cost: ``num_probes`` · ``num_steps`` products; the vectors of one probe, ``num_steps`` of them.

    Args:
        op: symmetric operator on R^P.
        num_probes: independent probes (PyHessian: ``n_v``).
        num_steps: Lanczos steps for each, at most P (PyHessian: ``iter``).
        probe: distribution of the start vectors, see :func:`spectra.draw_probe`.
        seed: of the probes; probe k depends on (``seed``, ``op.label``, k) alone.
        generator: of all probes, on the CPU, in place of ``seed``.
        lockstep: step all probes together, for operators that take several vectors a pass; None:
            for those. Holds the vectors of all probes at once.
        deflate: take what the first probe's run has resolved out of the space of the others, see
            :func:`spectra.krylov.quadrature.deflated.deflated_quadrature`; from 2 ``normal`` probes
            on. As many products, and fewer vectors for the middle of the spectrum.
        on_progress: called after each step with ("", steps done, steps in all).

    Returns:
        Raw quadrature; smooth it with :meth:`Spectrum.density`, draw it with
        ``figures.plot_density``.

    Raises:
        InputError: ``op`` is no operator, a number is out of range, ``generator`` is no
            torch.Generator, or ``deflate`` has one probe, or signs.
        NonFiniteError: a product held NaN or infinity; the message names probe and step.

    Source: Ubaru, Chen & Saad 2017; Golub & Meurant; for networks Ghorbani et al. 2019.

    Example:
        >>> matrix = torch.diag(torch.tensor([-1.0, 0.0, 0.0, 5.0], dtype=torch.float64))
        >>> spectrum = spectra.slq(spectra.DenseOperator(matrix), num_probes=1)
        >>> [round(node) for node in spectrum.nodes], round(spectrum.weights.sum())
        ([-1, 0, 5], 1)
    """
    check_operator(op)
    check_count("num_probes", num_probes)
    check_count("num_steps", num_steps)
    if deflate and (num_probes < 2 or probe != "normal"):
        raise InputError(
            f"deflate needs at least 2 probes that are normal, got {num_probes} that are {probe}"
        )
    num_steps = min(num_steps, op.size)
    together = op.vectors_a_pass > 1 if lockstep is None else lockstep

    def source(k: int) -> torch.Generator:
        return make_generator(seed, "probe", op.label, k) if generator is None else generator

    if deflate:
        return deflated_quadrature(
            op,
            source,
            num_probes=num_probes,
            num_steps=num_steps,
            together=together,
            on_progress=on_progress,
        )

    def begin(k: int) -> Lanczos:
        return Lanczos(op, draw_probe(op.size, probe=probe, generator=source(k)))

    runs = probe_runs(
        begin,
        num_probes=num_probes,
        num_steps=num_steps,
        together=together,
        on_progress=on_progress,
    )
    return Spectrum(tuple(run.tridiagonal() for run in runs), op.size, probe)
